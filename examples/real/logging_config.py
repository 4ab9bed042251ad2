"""A handler asks for a logger while another thread configures logging.

https://github.com/python/cpython/issues/96727: `dictConfig` takes the lock of the module and
then those of handlers; a handler that calls `logging.getLogger` takes them the other way round.
"""

import logging
import logging.config
import threading

in_handler = threading.Event()
in_config = threading.Event()


class Sending(logging.Handler):
    def emit(self, record):
        in_handler.set()
        in_config.wait()
        logging.getLogger("a.client.of.its.own").debug("sent")

    def acquire(self):
        if threading.current_thread().name == "configurer":
            in_config.set()
        super().acquire()


def configure():
    in_handler.wait()
    logging.config.dictConfig({"version": 1})


logging.getLogger().addHandler(Sending())
threading.Thread(target=configure, name="configurer").start()
logging.warning("something happened")
