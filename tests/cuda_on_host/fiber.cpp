#include "tests/cuda_on_host/fiber.h"

#include <sys/mman.h>

#include <new>

namespace cuda_on_host {
namespace {

constexpr size_t kStackBytes = 256 << 10;
constexpr size_t kGuardBytes = 4096;  // an overflow stops the program instead of damaging memory

Fiber* running = nullptr;

// Only the first switch to a fiber needs ucontext, which makes a system call; these do not.
void switch_stacks(jmp_buf from, jmp_buf to) {
  if (_setjmp(from) == 0) _longjmp(to, 1);
}

}  // namespace

Fiber::Fiber(void (*body)()) : body_(body) {
  void* memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, kGuardBytes, PROT_NONE);
  stack_ = static_cast<std::byte*>(memory);
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = kStackBytes;
  context_.uc_link = nullptr;
  makecontext(&context_, &Fiber::enter, 0);
}

Fiber::~Fiber() { munmap(stack_, kStackBytes); }

void Fiber::enter() { running->body_(); }

void Fiber::resume() {
  running = this;
  if (started_) {
    switch_stacks(resumer_, here_);
  } else {
    started_ = true;
    if (_setjmp(resumer_) == 0) setcontext(&context_);
  }
  running = nullptr;
}

void Fiber::suspend() { switch_stacks(running->here_, running->resumer_); }

}  // namespace cuda_on_host
