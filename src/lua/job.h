/*
** job.h: core.job.
*/
#ifndef TC_JOB_H
#define TC_JOB_H

#include "lua/compat.h"

void tc_job_open (lua_State *L, int module);

#endif
