// Memory of results: it is the receiver's, who gives it back by haft_value_free. From level 1 on the ones that are out are
// known, so that nothing else is freed as one, and none twice (pointer rule 4).
#pragma once

#include <cstddef>
#include <cstdint>

namespace haft {

char *result_take(size_t bytes);  // NULL: no memory

// False: it is no result that is out, and was left alone.
bool result_give(const void *result);

uint64_t results_out();  // how many; 0 at level 0

}  // namespace haft
