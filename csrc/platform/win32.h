/* Between the Windows files: what a patient wait sleeps on beside its parker.
 *
 * Windows interrupts no call when a signal comes: the C runtime runs the handler, on whatever
 * thread, and the interpreter's writes the number to the wake-up descriptor.  So that is a
 * socket, which is what the interpreter takes, and an event tells when something arrives. */
#ifndef LT_WIN32_H
#define LT_WIN32_H

#include <stdbool.h>

/* The event, a HANDLE; NULL: there is none to be had, and LT_PATIENT waits are brief. */
void *lt__signals_event(void);

/* Takes what arrived; returns whether there was anything. */
bool lt__signals_drain(void);

#endif
