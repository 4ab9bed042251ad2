"""A callback of an event loop waits for a coroutine that the same loop is to run.

https://github.com/empicano/aiomqtt/issues/174: `run_coroutine_threadsafe(...).result()` is called
from a thread at first, and later from within the loop.
"""

import asyncio


async def add_writer():
    return "added"


def on_socket_register_write(loop):
    return asyncio.run_coroutine_threadsafe(add_writer(), loop).result()


async def main():
    print(on_socket_register_write(asyncio.get_running_loop()))


asyncio.run(main())
