// The program ddpm; experiments/cli/app.h says what it does.
#include "experiments/cli/app.h"

int main(int argc, char** argv) { return ddpm::run_app({argv + 1, argv + argc}); }
