/* A pool of threads that sends to objects in two workers, while one object moves from the first to the second.
** argv[1] and argv[2] are the workers' realms. */
#include <haft.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 4, DEPOSITS = 10000, ACCOUNTS = 2 }; /* so many deposits of each thread to each account */

static haft_op deposit, balance, describe;
static haft_handle accounts[ACCOUNTS]; /* as they were found; each thread has references of its own */
static atomic_int sent;
static atomic_bool failed; /* a thread */

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, haft_last_error()->message);
  return 1;
}

/* Sends to where the account lives now. `*account` is a reference of the caller's: to the old handle, or to the new. */
static haft_status send(haft_handle *account, double amount) {
  const haft_value value = haft_value_f64(amount);
  haft_status status;
  while ((status = haft_post(*account, deposit, &value, 1, HAFT_BLOCK(10000))) == HAFT_E_MOVED) {
    status = haft_moved(*account, account);
    if (status != HAFT_OK) return status;
  }
  return status;
}

static void *give_up(const char *what) {
  fail(what);
  failed = true;
  return NULL;
}

static void *work(void *unused) {
  haft_handle mine[ACCOUNTS];
  for (int i = 0; i < ACCOUNTS; i++) {
    mine[i] = accounts[i];
    if (haft_retain(mine[i]) != HAFT_OK) return give_up("retain");
  }
  for (int n = 0; n < DEPOSITS; n++) {
    for (int i = 0; i < ACCOUNTS; i++) {
      if (send(&mine[i], 1) != HAFT_OK) return give_up("deposit");
      sent++;
    }
  }
  for (int i = 0; i < ACCOUNTS; i++) {
    haft_status status = haft_release(mine[i]);
    /* It may move between our last deposit and this. */
    while (status == HAFT_E_MOVED && haft_moved(mine[i], &mine[i]) == HAFT_OK) status = haft_release(mine[i]);
    if (status != HAFT_OK) return give_up("release");
  }
  return unused;
}

/* Deposits that were under way when the account moved are sent on: a call to the new handle may come before them. */
static int wait_for_all(haft_handle account) {
  const struct timespec pause = {0, 1000000};
  haft_value total;
  for (int tries = 0; tries < 10000; tries++) {
    if (haft_call(account, balance, NULL, 0, 10000, &total) != HAFT_OK) return fail("balance");
    if (total.as.f64 == THREADS * DEPOSITS) return 0;
    nanosleep(&pause, NULL);
  }
  return fprintf(stderr, "deposits are missing: %g\n", total.as.f64), 1;
}

static int print_account(haft_handle account) {
  haft_value text;
  if (haft_call(account, describe, NULL, 0, 10000, &text) != HAFT_OK) return fail("describe");
  printf("%s\n", text.as.str);
  haft_value_free(&text);
  return 0;
}

static int print_counters(haft_realm realm, const char *name) {
  haft_counters c = {.size = sizeof c};
  if (haft_counters_read(realm, HAFT_ALL_SHARDS, &c) != HAFT_OK) return fail("counters");
  printf("%-6s %9llu %9llu %7llu %7llu %7llu %12u\n", name, (unsigned long long)c.sent, (unsigned long long)c.delivered,
         (unsigned long long)c.refused, (unsigned long long)c.dropped, (unsigned long long)c.expired, c.highest_fill);
  return 0;
}

HAFT_EXPORT int haft_host_main(const haft_api *api, haft_realm own, int argc, char **argv) {
  (void)own;
  if (HAFT_PLUGIN(api) != HAFT_OK || argc != 1 + ACCOUNTS) return 1;
  const haft_realm realms[ACCOUNTS] = {strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10)};
  haft_kind account, mover;
  haft_op move;
  haft_handle move_away;
  if (haft_kind_find("Account", 0, &account) || haft_op_find(account, "deposit", &deposit) ||
      haft_op_find(account, "balance", &balance) || haft_op_find(account, "describe", &describe))
    return fail("Account");
  for (int i = 0; i < ACCOUNTS; i++)
    if (haft_find(realms[i], "account", account, 1000, &accounts[i])) return fail("account");
  if (haft_find(realms[0], "move", 0, 1000, &move_away) || haft_kind_of(move_away, &mover) ||
      haft_op_find(mover, "call", &move))
    return fail("move");

  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++)
    if (pthread_create(&threads[i], NULL, work, NULL) != 0) return 1;

  /* In the midst of it the first account moves to the second worker. The threads go on. */
  while (sent < THREADS * DEPOSITS && !failed) {
    const struct timespec pause = {0, 100000};
    nanosleep(&pause, NULL);
  }
  const haft_value to = haft_value_f64((double)realms[1]);
  if (haft_call(move_away, move, &to, 1, 10000, NULL) != HAFT_OK) return fail("move");
  const haft_handle before = accounts[0];
  if (haft_moved(accounts[0], &accounts[0]) != HAFT_OK) return fail("moved");

  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  if (failed) return 1;
  for (int i = 0; i < ACCOUNTS; i++)
    if (wait_for_all(accounts[i]) || print_account(accounts[i])) return 1;
  printf("the old handle: %s\n\n", haft_status_name(haft_check(before, account)));
  puts("worker      sent delivered refused dropped expired highest fill");
  const char *const names[ACCOUNTS] = {"first", "second"};
  for (int i = 0; i < ACCOUNTS; i++)
    if (print_counters(realms[i], names[i])) return 1;
  for (int i = 0; i < ACCOUNTS; i++) haft_release(accounts[i]);
  haft_release(move_away);
  return 0;
}
