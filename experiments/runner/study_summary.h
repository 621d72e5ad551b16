// summary.json (schema ddpm.summary/1): what the runs of a study say together.
//
//   {"schema", "study", "baseline",
//    "variants": {<variant>: {"label", "status": {"completed": 3}, "metrics": {<metric>:
//        {"n", "mean", "std", "sem", "ci95", "ci_method", "median", "min", "max", "values",
//         "seeds"}}}},
//    "comparisons": {<metric>: {<variant>:
//        {"n", "delta_mean", "ci95", "ci_method", "p_signflip", "holm_p", "seeds_paired", "claim",
//         "deltas", "seeds"}}}}
//
// A comparison is variant minus baseline. Where both drew the same random numbers for the same
// seed, their runs are pairs: "deltas" are the differences seed by seed, the interval is their
// bootstrap's and p that of the sign-flip test. Where they did not, "seeds_paired" is false, the
// runs are two independent samples, the interval is Welch's and "p_permutation" stands in place of
// "p_signflip". Holm's adjustment is over all variants that are compared in one metric, and "claim"
// says in words what follows, if anything does. Runs that did not complete are counted and left
// out.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "experiments/runner/study_file.h"

namespace ddpm {

// `results`: the result.json of every run that has one, in any order.
nlohmann::ordered_json summarise_study(const StudyFile& study,
                                       const nlohmann::ordered_json& results);

}  // namespace ddpm
