/* input.c: the file of records, its parts, and its lines. */
#define _POSIX_C_SOURCE 200809L
#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The file is read, not mapped: a mapped file that shrinks meanwhile would kill the process, and a pipe has no
** map. */
bool input_read(struct input *input, const char *path) {
  *input = (struct input){0};
  struct stat about;
  FILE *file = fopen(path, "rb");
  if (!file) return complain("cannot read %s: %s.", path, strerror(errno));
  bool read = false;
  if (!fstat(fileno(file), &about) && S_ISDIR(about.st_mode)) {
    complain("cannot read %s: it is a directory.", path);
  } else {
    size_t room = 0, got;
    do {
      if (input->size == room) {
        room = room ? room * 2 : (size_t)(about.st_size > 0 ? about.st_size : 0) + 4096;
        char *bytes = realloc(input->bytes, room);
        if (!bytes) break;
        input->bytes = bytes;
      }
      got = fread(input->bytes + input->size, 1, room - input->size, file);
      input->size += got;
    } while (got > 0);
    read = feof(file);
    if (!read) complain("cannot read %s: %s.", path, strerror(errno ? errno : ENOMEM));
  }
  fclose(file);
  if (!read) input_free(input);
  return read;
}

void input_free(struct input *input) {
  free(input->bytes);
  *input = (struct input){0};
}

uint64_t input_split(const struct input *input, struct part *parts, uint32_t count) {
  static const char byte_order_mark[] = "\xef\xbb\xbf";
  const char *begin = input->bytes, *end = begin + input->size;
  uint64_t records = 0;
  if (input->size >= 3 && !memcmp(begin, byte_order_mark, 3)) begin += 3;
  size_t size = (size_t)(end - begin);
  struct part rest = {begin, end, 1};
  for (uint32_t i = 0; i < count; i++) {
    const char *cut = begin + (size_t)((double)size / count * (i + 1));
    if (i + 1 == count || cut > end) cut = end;
    if (cut < rest.at) cut = rest.at;
    const char *newline = cut < end ? memchr(cut, '\n', (size_t)(end - cut)) : NULL;
    if (cut > rest.at && cut[-1] != '\n') cut = newline ? newline + 1 : end;
    parts[i] = rest;
    parts[i].end = rest.end = cut;
    struct line line;
    while (part_next(&rest, &line)) records++;
    rest.end = end;
  }
  return records;
}

bool part_next(struct part *part, struct line *line) {
  while (part->at < part->end) {
    const char *text = part->at;
    const char *newline = memchr(text, '\n', (size_t)(part->end - text));
    const char *end = newline ? newline : part->end;
    uint32_t number = part->number++;
    part->at = newline ? newline + 1 : part->end;
    if (end > text && end[-1] == '\r') end--;
    if (end == text) continue;
    size_t length = (size_t)(end - text);
    /* A length that does not fit is cut to one that is refused as too large. */
    *line = (struct line){text, length > UINT32_MAX ? UINT32_MAX : (uint32_t)length, number};
    return true;
  }
  return false;
}
