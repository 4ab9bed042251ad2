/* Delays between any two steps of the shim, when it is compiled with -finstrument-functions:
 * these two functions are then called at the beginning and the end of every other one,
 * inlined ones too.  They make rare orders of events common. */
#include "stress.h"

#define PLAIN __attribute__((no_instrument_function))

void __cyg_profile_func_enter(void *function, void *caller) PLAIN;
void __cyg_profile_func_exit(void *function, void *caller) PLAIN;
static void delay(void) PLAIN;

static void delay(void)
{
    static _Thread_local uint64_t chance;
    if (chance == 0)
        chance = (uintptr_t)&chance ^ stress_seed;
    chance = chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint32_t draw = (uint32_t)(chance >> 40);
    if (draw % 64 == 0)
        for (volatile uint32_t laps = draw / 64 % 1024; laps > 0; laps--)
            ;
    else if (draw % 4096 == 1)
        lt_thread_yield();
}

void __cyg_profile_func_enter(void *function, void *caller)
{
    (void)function;
    (void)caller;
    delay();
}

void __cyg_profile_func_exit(void *function, void *caller)
{
    (void)function;
    (void)caller;
    delay();
}
