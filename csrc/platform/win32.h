/* Between the Windows files, and what an interpreter tells them.
 *
 * Windows interrupts no call when a signal comes: the C runtime runs the handler, in
 * whatever thread, and the handler notes the signal and sets an event.  The interrupt
 * event is that one: a manual-reset event, of the interpreter.  LT_BRIEF and LT_PATIENT
 * waits sleep on it too, and end LT_WAKE_SIGNAL while it is set.
 *
 * No interrupt is lost, because
 * - an interrupt is noted first, and the event set after that;
 * - nothing here resets the event but lt_signals_flush; after it the caller looks for
 *   signals that were noted, and only then waits LT_PATIENT.
 * So an interrupt that was noted before the reset is found by that look; one that is noted
 * later sets the event after the reset, and ends the wait.  If it was found as well, the
 * wait ends for nothing, once.  An interpreter that itself resets the event (CPython's
 * time.sleep does) does so in the same thread, and looks for signals after that. */
#ifndef LT_WIN32_H
#define LT_WIN32_H

/* Tells which event that is; NULL: none is known, and LT_PATIENT waits are brief.  Keeps a
 * duplicate of the handle: the interpreter may close its own.  Called by the thread that
 * handles signals. */
void lt_set_interrupt_event(void *event);

/* Do nothing where no event is known. */
void lt__interrupt_set(void);
void lt__interrupt_reset(void);

#endif
