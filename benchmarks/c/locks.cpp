// The shim's lock beside what C and C++ have, without Python: see __main__.py.
//
// google-benchmark runs the threads and interleaves the repetitions.
#include <benchmark/benchmark.h>

#include <absl/synchronization/mutex.h>
#include <mutex>
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

template <class Lock> struct Shared {
    alignas(64) Lock lock;
    alignas(64) uint64_t guarded = 0;
};

// Takes and gives the lock; while it is held, `range(0)` dependent steps of some 1.5 ns each,
// and as many without it.
template <class Lock> void contend(benchmark::State &state)
{
    static Shared<Lock> shared;
    uint64_t own = 1;
    const auto steps = state.range(0);
    for (auto _ : state) {
        shared.lock.take();
        for (int64_t i = 0; i < steps; i++)
            shared.guarded = shared.guarded * 6364136223846793005u + 1;
        shared.guarded++;
        shared.lock.give();
        for (int64_t i = 0; i < steps; i++)
            benchmark::DoNotOptimize(own = own * 6364136223846793005u + 1);
    }
    state.SetItemsProcessed(state.iterations());
}

template <class Lock> void add(const char *name)
{
    auto *bench = benchmark::RegisterBenchmark(name, contend<Lock>);
    bench->ArgName("steps")->UseRealTime()->Arg(0)->Threads(1);
    for (int steps : {0, 1000})
        benchmark::RegisterBenchmark(name, contend<Lock>)
            ->ArgName("steps")->Arg(steps)->UseRealTime()->ThreadRange(2, 16);
}

} // namespace

int main(int argc, char **argv)
{
    add<Lowthreads>("lowthreads");
    add<Pthread>("pthread_mutex_t");
    add<Nsync>("nsync_mu");
    add<Absl>("absl::Mutex");
    add<Std>("std::mutex");
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 2;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
