// The program ddpm; experiments/cli/app.h says what it does.
#include <fcntl.h>
#include <unistd.h>

#include "experiments/cli/app.h"

int main(int argc, char** argv) {
  // With a standard stream closed, the next file opened would take its number, and messages would
  // end up in a checkpoint.
  int opened = open("/dev/null", O_RDWR);
  while (opened >= 0 && opened <= STDERR_FILENO) opened = dup(opened);
  if (opened >= 0) close(opened);
  return ddpm::run_app({argv + 1, argv + argc});
}
