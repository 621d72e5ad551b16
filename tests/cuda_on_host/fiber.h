// A stack of its own that runs a function, stops in the middle and goes on later, all on one
// operating-system thread.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>

namespace cuda_on_host {

class Fiber {
 public:
  // `body` never returns: it suspends when it has nothing to do.
  explicit Fiber(void (*body)());
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void resume();          // runs the fiber until it suspends
  static void suspend();  // goes back to whoever resumed the running fiber

 private:
  static void enter();
  void (*body_)();
  bool started_ = false;
  std::byte* stack_;
  ucontext_t context_;
  jmp_buf here_, resumer_;
  // What the address sanitizer knows of both stacks.
  void *fake_stack_ = nullptr, *resumer_fake_stack_ = nullptr;
  const void* resumer_stack_ = nullptr;
  size_t resumer_stack_bytes_ = 0;
};

}  // namespace cuda_on_host
