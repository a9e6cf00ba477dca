/* routes.c: from key to state. Each key's state is made once, by the thread that claims its route. */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a */
uint64_t route_hash(const char *key, uint32_t length) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (uint32_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)key[i]) * 0x100000001b3u;
  return hash ^ (hash >> 32);
}

/* The cell that holds the key, or the empty one where it belongs. */
static struct route **cell_of(const struct route_map *map, uint64_t hash, const char *key, uint32_t length) {
  for (size_t i = hash & (map->capacity - 1);; i = (i + 1) & (map->capacity - 1)) {
    struct route *route = map->cells[i];
    if (!route) return &map->cells[i];
    if (route->hash == hash && route->length == length && !memcmp(route->key, key, length)) return &map->cells[i];
  }
}

static bool grow(struct route_map *map) {
  struct route_map bigger = {.capacity = map->capacity ? map->capacity * 2 : 64, .count = map->count};
  bigger.cells = calloc(bigger.capacity, sizeof *bigger.cells);
  if (!bigger.cells) return false;
  for (size_t i = 0; i < map->capacity; i++) {
    struct route *route = map->cells[i];
    if (route) *cell_of(&bigger, route->hash, route->key, route->length) = route;
  }
  free(map->cells);
  *map = bigger;
  return true;
}

struct route *route_map_get(const struct route_map *map, uint64_t hash, const char *key, uint32_t length) {
  return map->capacity ? *cell_of(map, hash, key, length) : NULL;
}

bool route_map_put(struct route_map *map, struct route *route) {
  if (map->count * 2 >= map->capacity && !grow(map)) return false;
  *cell_of(map, route->hash, route->key, route->length) = route;
  map->count++;
  return true;
}

void routes_open(struct routes *routes) {
  *routes = (struct routes){0};
  pthread_mutex_init(&routes->lock, NULL);
  pthread_cond_init(&routes->settled, NULL);
}

static struct route *add(struct routes *routes, uint64_t hash, const char *key, uint32_t length) {
  struct route *route = malloc(sizeof *route + length);
  if (!route) return NULL;
  route->hash = hash;
  route->state = HAFT_NULL;
  route->status = ROUTE_ABSENT;
  route->length = length;
  memcpy(route->key, key, length);
  if (route_map_put(&routes->map, route)) return route;
  free(route);
  return NULL;
}

struct route *routes_claim(struct routes *routes, uint64_t hash, const char *key, uint32_t length, bool *mine) {
  pthread_mutex_lock(&routes->lock);
  struct route *route = route_map_get(&routes->map, hash, key, length);
  if (!route) route = add(routes, hash, key, length);
  *mine = route && route->status == ROUTE_ABSENT;
  if (*mine) route->status = ROUTE_CLAIMED;
  pthread_mutex_unlock(&routes->lock);
  return route;
}

void routes_settle(struct routes *routes, struct route *route, haft_handle state) {
  pthread_mutex_lock(&routes->lock);
  route->state = state;
  route->status = state == HAFT_NULL ? ROUTE_ABSENT : ROUTE_READY;
  pthread_cond_broadcast(&routes->settled);
  pthread_mutex_unlock(&routes->lock);
}

bool routes_await(struct routes *routes, struct route *route) {
  pthread_mutex_lock(&routes->lock);
  while (route->status == ROUTE_CLAIMED) pthread_cond_wait(&routes->settled, &routes->lock);
  bool ready = route->status == ROUTE_READY;
  pthread_mutex_unlock(&routes->lock);
  return ready;
}

static int by_key(const void *a, const void *b) {
  const struct route *one = *(struct route *const *)a, *other = *(struct route *const *)b;
  uint32_t shorter = one->length < other->length ? one->length : other->length;
  int order = memcmp(one->key, other->key, shorter);
  return order ? order : (one->length > other->length) - (one->length < other->length);
}

struct route **routes_sorted(struct routes *routes, size_t *count) {
  struct route **sorted = malloc((routes->map.count + 1) * sizeof *sorted);
  *count = 0;
  if (!sorted) return NULL;
  for (size_t i = 0; i < routes->map.capacity; i++) {
    struct route *route = routes->map.cells[i];
    if (route && route->status == ROUTE_READY) sorted[(*count)++] = route;
  }
  qsort(sorted, *count, sizeof *sorted, by_key);
  return sorted;
}

void routes_close(struct routes *routes) {
  for (size_t i = 0; i < routes->map.capacity; i++) {
    struct route *route = routes->map.cells[i];
    if (route && route->state != HAFT_NULL) haft_release(route->state);
    free(route);
  }
  free(routes->map.cells);
  pthread_cond_destroy(&routes->settled);
  pthread_mutex_destroy(&routes->lock);
}
