// The shim's lock beside what C and C++ have, without Python: `locks ROUNDS SECONDS`, see __main__.py.
//
// Each round measures all locks right after one another, beginning with another one each time.
// (google-benchmark's time of a run with threads is the mean of the threads' own times: a lock that
// lets one thread finish before the others begin looks quick.)
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <thread>
#include <vector>

#include <absl/synchronization/mutex.h>
#include <nsync.h>
#include <pthread.h>

#include "lowthreads.h"

namespace {

struct Lowthreads {
    lt_lock lock{};
    void take()
    {
        if (!lt_lock_try(&lock) && !lt_lock_spin(&lock, 0))
            lt_lock_wait(&lock, LT_FOREVER, lt_now(), LT_PLAIN);
    }
    void give() { lt_lock_release(&lock); }
};

struct Pthread {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    void take() { pthread_mutex_lock(&mutex); }
    void give() { pthread_mutex_unlock(&mutex); }
};

struct Nsync {
    nsync::nsync_mu mutex = NSYNC_MU_INIT;
    void take() { nsync::nsync_mu_lock(&mutex); }
    void give() { nsync::nsync_mu_unlock(&mutex); }
};

struct Absl {
    absl::Mutex mutex;
    void take() { mutex.Lock(); }
    void give() { mutex.Unlock(); }
};

struct Std {
    std::mutex mutex;
    void take() { mutex.lock(); }
    void give() { mutex.unlock(); }
};

double now()
{
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

double processor_time()
{
    timespec spent;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return double(spent.tv_sec) + 1e-9 * double(spent.tv_nsec);
}

// Steps that depend on each other, of some 1.5 ns each.
inline void work(volatile uint64_t &word, int steps)
{
    uint64_t value = word;
    for (int i = 0; i < steps; i++) {
        value = value * 6364136223846793005u + 1;
        asm volatile("" : "+r"(value));
    }
    word = value;
}

template <class Lock> struct Shared {
    alignas(64) Lock lock;
    alignas(64) volatile uint64_t guarded = 1;
};

// Alone: seconds of the processor's time for one turn, which says it better than the clock on a
// machine that does other things.
template <class Lock> double alone(int, int steps, double seconds)
{
    Shared<Lock> shared;
    const long turns = long(seconds / 10e-9);
    const double began = processor_time();
    for (long i = 0; i < turns; i++) {
        shared.lock.take();
        work(shared.guarded, steps);
        shared.lock.give();
    }
    return (processor_time() - began) / double(turns);
}

// Threads that take and give the lock for a time, with as many steps while it is held as without
// it: seconds for one turn.
template <class Lock> double contended(int threads, int steps, double seconds)
{
    Shared<Lock> shared;
    std::atomic<bool> stop{false};
    std::atomic<long> turns{0};
    auto body = [&] {
        volatile uint64_t own = 1;
        long mine = 0;
        for (; !stop.load(std::memory_order_relaxed); mine++) {
            shared.lock.take();
            work(shared.guarded, steps);
            shared.lock.give();
            work(own, steps);
        }
        turns += mine;
    };
    std::vector<std::thread> running;
    const double began = now();
    for (int i = 0; i < threads; i++)
        running.emplace_back(body);
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    stop = true;
    for (auto &thread : running)
        thread.join();
    return (now() - began) / double(turns);
}

typedef double (*Measure)(int threads, int steps, double seconds);

const struct {
    const char *name;
    Measure alone, contended;
} locks[] = {
    {"lowthreads", alone<Lowthreads>, contended<Lowthreads>},
    {"pthread_mutex_t", alone<Pthread>, contended<Pthread>},
    {"nsync_mu", alone<Nsync>, contended<Nsync>},
    {"absl::Mutex", alone<Absl>, contended<Absl>},
    {"std::mutex", alone<Std>, contended<Std>},
};

const struct {
    int threads, steps;
} loads[] = {{1, 0},   {2, 0},    {4, 0},    {8, 0},   {16, 0},
             {2, 1000}, {4, 1000}, {8, 1000}, {16, 1000}};

} // namespace

int main(int count, char **arguments)
{
    if (count != 3) {
        std::fprintf(stderr, "usage: %s ROUNDS SECONDS\n", arguments[0]);
        return 2;
    }
    const int rounds = std::atoi(arguments[1]);
    const double seconds = std::atof(arguments[2]);
    const size_t all = sizeof locks / sizeof *locks;
    std::puts("threads steps lock seconds");
    for (int round = 0; round < rounds; round++)
        for (const auto &load : loads)
            for (size_t i = 0; i < all; i++) {
                const auto &lock = locks[(i + size_t(round)) % all];
                const Measure measure = load.threads == 1 ? lock.alone : lock.contended;
                std::printf("%d %d %s %.4g\n", load.threads, load.steps, lock.name,
                            measure(load.threads, load.steps, seconds));
            }
    return 0;
}
