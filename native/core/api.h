// The table of functions that plugins and hosts receive.
#pragma once

#include "haft.h"

namespace haft {

const haft_api *api_table();

}  // namespace haft
