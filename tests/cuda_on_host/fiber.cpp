#include "tests/cuda_on_host/fiber.h"

#include <sys/mman.h>

#include <new>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace cuda_on_host {
namespace {

// The address sanitizer must hear of every change of stack, before and after.
#ifdef __SANITIZE_ADDRESS__
void before_switch(void** own_fake_stack, const void* stack, size_t bytes) {
  __sanitizer_start_switch_fiber(own_fake_stack, stack, bytes);
}
void after_switch(void* own_fake_stack, const void** left_stack, size_t* left_bytes) {
  __sanitizer_finish_switch_fiber(own_fake_stack, left_stack, left_bytes);
}
#else
void before_switch(void**, const void*, size_t) {}
void after_switch(void*, const void**, size_t*) {}
#endif

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

void Fiber::enter() {
  after_switch(nullptr, &running->resumer_stack_, &running->resumer_stack_bytes_);
  running->body_();
}

void Fiber::resume() {
  running = this;
  before_switch(&resumer_fake_stack_, stack_, kStackBytes);
  if (started_) {
    switch_stacks(resumer_, here_);
  } else {
    started_ = true;
    if (_setjmp(resumer_) == 0) setcontext(&context_);
  }
  after_switch(resumer_fake_stack_, nullptr, nullptr);
  running = nullptr;
}

void Fiber::suspend() {
  Fiber& self = *running;
  before_switch(&self.fake_stack_, self.resumer_stack_, self.resumer_stack_bytes_);
  switch_stacks(self.here_, self.resumer_);
  after_switch(self.fake_stack_, &self.resumer_stack_, &self.resumer_stack_bytes_);
}

}  // namespace cuda_on_host
