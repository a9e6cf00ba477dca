/* options.c: the command line of the host. Options that it does not know are the application's. */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool read_count(uint32_t *count, const char *name, const char *text, unsigned long most) {
  char *end;
  errno = 0;
  unsigned long value = strtoul(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end || errno || value < 1 || value > most) {
    return complain("%s must be a whole number from 1 to %lu, not '%s'.", name, most, text);
  }
  *count = (uint32_t)value;
  return true;
}

bool options_read(struct options *options, int argc, char **argv) {
  *options = (struct options){.threads = 8, .repeat = 1};
  for (int i = 1; i + 1 < argc; i++) {
    const char *value = argv[i + 1];
    if (!strcmp(argv[i], "--input")) {
      options->input = value;
    } else if (!strcmp(argv[i], "--report")) {
      options->report = value;
    } else if (!strcmp(argv[i], "--threads")) {
      if (!read_count(&options->threads, argv[i], value, 1024)) return false;
    } else if (!strcmp(argv[i], "--repeat")) {
      if (!read_count(&options->repeat, argv[i], value, 1000000)) return false;
    } else {
      continue;
    }
    i++;
  }
  return options->input || complain("name the file of records: --input FILE.");
}
