#include "framework/cpu/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ddpm::cpu {
namespace {

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

// Denormals slow arithmetic down a hundredfold and appear in Adam's second moments; flush them to
// zero. The mode is per thread and must be the same in all of them, or bits would differ.
void flush_denormals() {
#if defined(__x86_64__)
  constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  _mm_setcsr(_mm_getcsr() | kFlushToZero | kDenormalsAreZero);
#endif
}

void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

thread_local bool inside = false;

using Body = void (*)(void*, int64_t, int);

// Workers that help the calling thread with one job at a time. Every thread has a share of the
// pieces, claims from it one by one, and then from the shares of the others. The caller waits only
// for workers that have joined: on a busy machine, where a worker may not get a processor for
// milliseconds, the caller does all pieces itself. (An OpenMP region would wait at its barrier for
// every thread of the team.)
class Workers {
 public:
  explicit Workers(int members) : shares_(static_cast<size_t>(members)) {
    for (int i = 1; i < members; ++i) threads_.emplace_back([this, i] { work(i); });
  }
  ~Workers() {
    stop_ = true;
    epoch_ += 2;  // still even: nothing to do, but awake
    epoch_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void run(int64_t pieces, Body body, void* context) {
    body_ = body;
    context_ = context;
    members_ = static_cast<int>(std::min<int64_t>(pieces, std::ssize(shares_)));
    for (int i = 0; i < members_; ++i) {
      shares_[i].next = pieces * i / members_;
      shares_[i].end = pieces * (i + 1) / members_;
    }
    ++epoch_;  // odd: the job is open
    epoch_.notify_all();
    claim_pieces(0);
    ++epoch_;  // even: nobody joins any more
    for (int i = 0; joined_ != 0; ++i) i < kSpins ? pause_briefly() : std::this_thread::yield();
  }

 private:
  static constexpr int kSpins = 2000;  // some 30 microseconds: the gap between two ops of a network

  struct alignas(64) Share {  // a cache line, so that claiming one leaves the others alone
    std::atomic<int64_t> next = 0;
    int64_t end = 0;
  };

  void claim_pieces(int member) {
    if (member >= members_) return;
    inside = true;
    for (int i = 0; i < members_; ++i) {
      Share& share = shares_[(member + i) % members_];
      for (int64_t piece; (piece = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;)
        body_(context_, piece, member);
    }
    inside = false;
  }

  void work(int member) {
    flush_denormals();
    uint32_t seen = 0;
    while (!stop_) {
      uint32_t epoch = epoch_;
      for (int i = 0; epoch == seen && i < kSpins; ++i, epoch = epoch_) pause_briefly();
      if (epoch == seen) epoch_.wait(seen);
      seen = epoch_;
      if (seen % 2 == 0) continue;
      // Joining comes before the second look at the epoch, closing before the caller's look at
      // joined_: one of the two sees the other, so no worker is left behind in a finished job.
      ++joined_;
      if (epoch_ == seen) claim_pieces(member);
      --joined_;
    }
  }

  std::vector<std::thread> threads_;
  std::atomic<bool> stop_ = false;
  std::atomic<uint32_t> epoch_ = 0;
  std::atomic<int> joined_ = 0;
  // Of the open job; written only while no worker is joined.
  std::vector<Share> shares_;
  int members_ = 0;
  Body body_ = nullptr;
  void* context_ = nullptr;
};

int threads = available_processors();
std::unique_ptr<Workers> workers;

}  // namespace

int thread_count() { return threads; }

void set_thread_count(int count) {
  const int wanted = count > 0 ? count : available_processors();
  if (wanted != threads) workers.reset();
  threads = wanted;
}

namespace detail {

void run_parallel(int64_t pieces, Body body, void* context) {
  flush_denormals();
  if (pieces <= 1 || threads == 1 || inside) {
    for (int64_t i = 0; i < pieces; ++i) body(context, i, 0);
    return;
  }
  if (!workers) workers = std::make_unique<Workers>(threads);
  workers->run(pieces, body, context);
}

}  // namespace detail
}  // namespace ddpm::cpu
