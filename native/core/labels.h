// Labels of references (haft_retain_as): what each is for, counted by handle and label. Beside the slots, so that nobody
// else pays for them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "haft.h"

namespace haft {

bool is_label(const char *label);  // a text of 1 to 63 bytes

haft_status retain_as(haft_handle handle, const char *label);
haft_status release_as(haft_handle handle, const char *label);

// The labels of a handle that is alive, and how many references have each, in the order of the labels.
std::vector<std::pair<std::string, uint32_t>> labels_of(haft_handle handle);

struct Labelled {
  haft_handle handle;
  std::string label;
  uint32_t count;
};

// All of the process, those of one handle together.
std::vector<Labelled> labels_all();

// The handle has ended: its slot will be another's.
void labels_forget(haft_handle handle);

// Forgets those of all handles that have ended.
void labels_sweep();

}  // namespace haft
