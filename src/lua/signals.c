/*
** signals.c: see signals.h. The handlers only note a number and hand the
** signal on to whoever had it before, so that they are safe at any moment.
** All this belongs to the process, whatever the number of its Lua states.
*/
#include "lua/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#define HOLD_MT "taskclient.signals"
#define COUNT 3

static const struct {
  int number;
  const char *name;
} known[COUNT] = {
  { SIGTERM, "SIGTERM" }, { SIGHUP, "SIGHUP" }, { SIGINT, "SIGINT" }
};

static struct sigaction before[COUNT]; /* what each did before it was held */
static bool held[COUNT];
static int holders;
static volatile sig_atomic_t news[COUNT]; /* not told of yet */
static volatile sig_atomic_t owed[COUNT]; /* to be raised when nobody holds */

/* ---- the handler ---- */

static void hand_on (const struct sigaction *to, int number, siginfo_t *info,
                     void *context) {
  if (to->sa_flags & SA_SIGINFO)
    to->sa_sigaction(number, info, context);
  else if (to->sa_handler != SIG_DFL && to->sa_handler != SIG_IGN)
    to->sa_handler(number);
}

static bool is_default (const struct sigaction *a) {
  return !(a->sa_flags & SA_SIGINFO) && a->sa_handler == SIG_DFL;
}

/* The first is noted; a second does at once what it did before. */
static void on_signal (int number, siginfo_t *info, void *context) {
  int saved = errno, i;
  for (i = 0; i < COUNT; i++) {
    if (known[i].number != number)
      continue;
    sigaction(number, &before[i], NULL);
    news[i] = 1;
    owed[i] = is_default(&before[i]);
    hand_on(&before[i], number, info, context);
  }
  errno = saved;
}

static bool is_ours (const struct sigaction *a) {
  return (a->sa_flags & SA_SIGINFO) && a->sa_sigaction == on_signal;
}

/* ---- holding ---- */

/* Ctrl-C belongs to the interpreter, where that has a handler for it; what is
   ignored, as SIGHUP under nohup, stays ignored. */
static bool wanted (int i, const struct sigaction *now) {
  if (known[i].number == SIGINT)
    return is_default(now);
  return (now->sa_flags & SA_SIGINFO) || now->sa_handler != SIG_IGN;
}

static void hold (int i) {
  struct sigaction ours;
  if (sigaction(known[i].number, NULL, &before[i]) != 0 ||
      !wanted(i, &before[i]))
    return;
  memset(&ours, 0, sizeof ours);
  sigemptyset(&ours.sa_mask);
  ours.sa_sigaction = on_signal;
  ours.sa_flags = SA_SIGINFO | SA_RESTART;
  news[i] = owed[i] = 0;
  held[i] = sigaction(known[i].number, &ours, NULL) == 0;
}

/* somebody else's handler, set meanwhile, stays */
static void let_go (int i) {
  struct sigaction now;
  if (!held[i])
    return;
  held[i] = false;
  if (sigaction(known[i].number, NULL, &now) == 0 && is_ours(&now))
    sigaction(known[i].number, &before[i], NULL);
}

/* ends the process where a signal's default does, with all output written */
static void pay (int i) {
  if (!owed[i])
    return;
  owed[i] = news[i] = 0;
  fflush(NULL);
  raise(known[i].number);
}

static int release (lua_State *L) {
  bool *open = (bool *)luaL_checkudata(L, 1, HOLD_MT);
  int i;
  if (!*open)
    return 0;
  *open = false;
  if (--holders > 0)
    return 0;
  for (i = 0; i < COUNT; i++)
    let_go(i);
  for (i = 0; i < COUNT; i++)
    pay(i);
  return 0;
}

/* core.signals(): holds the signals back until :close(). When the last holder
   has closed, one that came and had no handler of the program's is raised
   again: it ends the process as it would have done without us. */
static int new_hold (lua_State *L) {
  bool *open = (bool *)lua_newuserdata(L, sizeof *open);
  int i;
  *open = false;
  luaL_getmetatable(L, HOLD_MT);
  lua_setmetatable(L, -2);
  for (i = 0; holders == 0 && i < COUNT; i++)
    hold(i);
  *open = true;
  holders++;
  return 1;
}

/* core.caught(): the name of a signal that has come, once; else nil */
static int caught (lua_State *L) {
  int i;
  for (i = 0; i < COUNT; i++) {
    if (!news[i])
      continue;
    news[i] = 0;
    lua_pushstring(L, known[i].name);
    return 1;
  }
  return 0;
}

/* core.sigint(): whether the program has a handler for Ctrl-C. The stock
   interpreters have one while they run a chunk, until Ctrl-C comes. */
static int sigint (lua_State *L) {
  struct sigaction now;
  bool has = sigaction(SIGINT, NULL, &now) == 0 &&
             ((now.sa_flags & SA_SIGINFO) || (now.sa_handler != SIG_DFL &&
                                              now.sa_handler != SIG_IGN));
  lua_pushboolean(L, has && !is_ours(&now));
  return 1;
}

/* ---- registration ---- */

static const luaL_Reg methods[] = {
  {"close", release},
  {"__gc", release},
  {"__close", release},
  {NULL, NULL}
};

static const luaL_Reg functions[] = {
  {"signals", new_hold},
  {"caught", caught},
  {"sigint", sigint},
  {NULL, NULL}
};

void tc_signals_open (lua_State *L, int module) {
  module = lua_absindex(L, module);
  if (luaL_newmetatable(L, HOLD_MT)) {
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
  lua_pushvalue(L, module);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
