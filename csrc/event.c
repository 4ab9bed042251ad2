/* The event: a word of state, and a list of who waits.
 *
 * Guarantees
 * - No lost wake-up: who finds it not set joins the list in the same edit; who sets it empties
 *   the list in the same edit, and wakes all that were in it.
 * - Who was in the list when it was set is woken for that, even if it is reset at once.
 * - Nothing is owed to a sleeper that has left: if it was woken, it takes its token first.
 *
 * State bits
 *
 *   EVENT_SET      it is set; looked at without an edit, changed within one.
 *   EVENT_AWAITED  the list is not empty, whenever EVENT_EDITING is clear.
 *   EVENT_EDITING  held for all else: the list, and the other bits.
 *   the rest       while one of the last two is set: the census generation, else 0.  In the
 *                  child of a fork, whoever comes first forgets an older one's edit and list. */
#include "lowthreads.h"
#include "lt_park.h"
#include "lt_thread.h"
#include "lt_waits.h"

enum { EVENT_SET = 1u, EVENT_AWAITED = 2u, EVENT_EDITING = 4u };

/* Lives on the stack of the thread that waits. */
typedef struct lt__sleeper {
    struct lt__sleeper *next, **to_me;
    lt_parker parker;
    bool listed; /* if not, it was given a token, or has left by itself */
    lt__wait *wait;
} sleeper;

static bool is_left_behind(uint32_t state)
{
    uint32_t theirs = state & ~(LT__GENERATION_STEP - 1);
    return (state & (EVENT_AWAITED | EVENT_EDITING)) && theirs != lt_census_generation();
}

static void begin_edit(lt_event *event)
{
    unsigned spins = 0;
    uint32_t state = lt_load(&event->state);
    for (;;) {
        bool left_behind = is_left_behind(state);
        if ((state & EVENT_EDITING) && !left_behind) {
            lt__await_edit(&spins);
            state = lt_load(&event->state);
            continue;
        }
        uint32_t editing = EVENT_EDITING | lt_census_generation();
        if (lt_cas_acquire(&event->state, &state, (state & EVENT_SET) | editing)) {
            if (left_behind)
                event->first = NULL;
            return;
        }
    }
}

static void end_edit(lt_event *event, bool set)
{
    uint32_t state = set ? EVENT_SET : 0;
    if (event->first != NULL)
        state |= EVENT_AWAITED | lt_census_generation();
    lt_exchange(&event->state, state); /* nobody else changes it meanwhile */
}

bool lt_event_is_set(lt_event *event)
{
    return (lt_load_acquire(&event->state) & EVENT_SET) != 0;
}

void lt_event_set(lt_event *event)
{
    begin_edit(event);
    sleeper *all = event->first;
    event->first = NULL;
    for (sleeper *each = all; each != NULL; each = each->next) {
        lt__wait_decide(each->wait, LT_ENDED);
        each->listed = false;
    }
    end_edit(event, true); /* the event may be gone from here on */
    while (all != NULL) {
        sleeper *each = all;
        all = each->next; /* before it has its token and leaves */
        lt_unpark(&each->parker);
    }
}

void lt_event_reset(lt_event *event)
{
    begin_edit(event);
    end_edit(event, false);
}

static void join(lt_event *event, sleeper *self)
{
    self->next = event->first;
    self->to_me = &event->first;
    if (event->first != NULL)
        event->first->to_me = &self->next;
    event->first = self;
    self->listed = true;
}

static void leave(sleeper *self)
{
    *self->to_me = self->next;
    if (self->next != NULL)
        self->next->to_me = self->to_me;
    self->listed = false;
}

/* Whether it joined: not if the event is set by now. */
static bool join_unless_set(lt_event *event, sleeper *self)
{
    begin_edit(event);
    bool set = lt_event_is_set(event);
    if (!set)
        join(event, self);
    end_edit(event, set);
    return !set;
}

/* Returns whether it was woken; if not, it has left. */
static bool sleep_in_list(lt_event *event, sleeper *self, int64_t deadline)
{
    lt_wake wake = lt_park(&self->parker, deadline, LT_PLAIN);
    if (wake == LT_WAKE_TOKEN)
        return true; /* the event may be gone */
    begin_edit(event);
    bool woken = !self->listed;
    if (!woken)
        leave(self);
    end_edit(event, lt_event_is_set(event));
    if (woken)
        lt_park(&self->parker, LT_FOREVER, LT_PLAIN);
    return woken;
}

lt_status lt__event_wait_on(lt__wait *wait)
{
    lt_event *event = wait->record.event;
    sleeper self;
    bool woken = true;
    self.wait = wait;
    lt_parker_init(&self.parker);
    if (join_unless_set(event, &self)) {
        lt__wait_show(wait, &self);
        woken = sleep_in_list(event, &self, wait->record.deadline);
    }
    lt_parker_destroy(&self.parker);
    int code = lt__wait_end(wait);
    return code != 0 ? (lt_status)code : woken ? LT_ACQUIRED : LT_TIMED_OUT;
}

bool lt__event_expel(lt_event *event, sleeper *self, int code, lt_parker **asleep)
{
    begin_edit(event);
    bool expelled = lt__wait_decide(self->wait, (uint32_t)code);
    if (expelled && self->listed) {
        leave(self);
        *asleep = &self->parker;
    }
    end_edit(event, lt_event_is_set(event));
    return expelled;
}
