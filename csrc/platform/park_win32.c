/* The parker on Windows: a word that holds the token, and an event to sleep on.
 *
 *   EMPTY    no token, the owner is awake
 *   PARKED   no token, the owner sleeps on the event, or is about to
 *   TOKEN    a token, not taken yet
 *
 * A waker that found PARKED sets the event, once, and the owner then always waits for it,
 * also if it woke for another reason.  So the event is reset between any two sleeps, and
 * no waker uses it after the owner has left lt_park.
 *
 * That lets all the parkers of a thread share one event, which lasts as long as the thread:
 * to create and close one for each wait would be two system calls more.  It is a kernel
 * event, not WaitOnAddress or a condition variable, for a patient wait sleeps on the
 * signals' event beside it (win32.h). */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include "../lt_park.h"
#include "win32.h"

/* Waits are in steps: INFINITE is the largest DWORD. */
#define LONGEST_MS 0x7FFFFFFF

enum { EMPTY = 0, PARKED = 1, TOKEN = 2 };

typedef struct win32_parker {
    lt_atomic_u32 word;
    HANDLE event;
    BOOL owns_event;
} win32_parker;

C_ASSERT(sizeof(win32_parker) <= sizeof(lt_parker));

static win32_parker *of(lt_parker *parker)
{
    return (win32_parker *)parker;
}

/* ---- The thread's event -------------------------------------------------------- */

static lt_atomic_u32 event_slot; /* the fiber-local slot plus one; 0: none yet */

static void NTAPI close_event(void *event)
{
    if (event != NULL)
        CloseHandle(event);
}

static HANDLE new_event(void)
{
    return CreateEventW(NULL, FALSE, FALSE, NULL);
}

/* Fiber-local, for these slots have destructors that run when a thread ends. */
static DWORD slot_of_events(void)
{
    uint32_t found = lt_load(&event_slot);
    if (found == 0) {
        DWORD slot = FlsAlloc(close_event);
        if (slot == FLS_OUT_OF_INDEXES)
            return slot;
        if (lt_cas_release(&event_slot, &found, slot + 1))
            return slot;
        FlsFree(slot);
    }
    return found - 1;
}

/* NULL if the thread can't have one. */
static HANDLE event_of_thread(void)
{
    DWORD slot = slot_of_events();
    if (slot == FLS_OUT_OF_INDEXES)
        return NULL;
    HANDLE event = FlsGetValue(slot);
    if (event == NULL) {
        event = new_event();
        if (event != NULL && !FlsSetValue(slot, event)) {
            CloseHandle(event);
            event = NULL;
        }
    }
    return event;
}

void lt_parker_init(lt_parker *parker)
{
    win32_parker *self = of(parker);
    lt_store(&self->word, EMPTY);
    self->event = event_of_thread();
    self->owns_event = self->event == NULL;
    /* Without a handle nothing can sleep: wait until the process has one to spare. */
    while (self->event == NULL) {
        self->event = new_event();
        if (self->event == NULL)
            Sleep(1);
    }
}

void lt_parker_destroy(lt_parker *parker)
{
    if (of(parker)->owns_event)
        CloseHandle(of(parker)->event);
}

/* ---- Parking ------------------------------------------------------------------------ */

/* Rounds up: a wait of less than a millisecond is not a look.  Windows may still wake it
 * early, by a part of its clock's tick; the caller looks at lt_now. */
static DWORD milliseconds_until(int64_t until)
{
    if (until == LT_FOREVER)
        return INFINITE;
    int64_t now = lt_now();
    if (until <= now)
        return 0;
    int64_t milliseconds = (until - now - 1) / 1000000 + 1;
    return milliseconds < LONGEST_MS ? (DWORD)milliseconds : LONGEST_MS;
}

/* Returns LT_WAKE_TOKEN if the event was set, which is then reset. */
static lt_wake sleep_on(HANDLE event, int64_t deadline, lt_patience patience)
{
    HANDLE events[2] = {event, patience == LT_PATIENT ? lt__signals_event() : NULL};
    DWORD count = events[1] == NULL ? 1 : 2;
    bool brief = patience != LT_PLAIN && count == 1;
    int64_t look = brief ? lt_now() + LT_BRIEF_NS : LT_FOREVER;
    int64_t until = deadline < look ? deadline : look;
    for (;;) {
        DWORD found = WaitForMultipleObjects(count, events, FALSE, milliseconds_until(until));
        if (found == WAIT_OBJECT_0)
            return LT_WAKE_TOKEN;
        if (found == WAIT_OBJECT_0 + 1 && lt__signals_drain())
            return LT_WAKE_SIGNAL;
        if (until != LT_FOREVER && lt_now() >= until)
            return deadline <= look ? LT_WAKE_TIMEOUT : LT_WAKE_SIGNAL;
    }
}

lt_wake lt_park(lt_parker *parker, int64_t deadline, lt_patience patience)
{
    win32_parker *self = of(parker);
    uint32_t empty = EMPTY;
    while (!lt_cas_acquire(&self->word, &empty, PARKED)) {
        if (empty == TOKEN) {
            lt_exchange(&self->word, EMPTY);
            return LT_WAKE_TOKEN;
        }
        empty = EMPTY;
    }
    lt_wake wake = sleep_on(self->event, deadline, patience);
    if (lt_exchange(&self->word, EMPTY) != TOKEN)
        return wake;
    if (wake != LT_WAKE_TOKEN)
        /* The waker is about to set the event. */
        sleep_on(self->event, LT_FOREVER, LT_PLAIN);
    return LT_WAKE_TOKEN;
}

void lt_unpark(lt_parker *parker)
{
    win32_parker *self = of(parker);
    HANDLE event = self->event; /* before the token can be seen: the owner may go then */
    if (lt_exchange(&self->word, TOKEN) == PARKED)
        SetEvent(event);
}
