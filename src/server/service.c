/*
** service.c: finds a server, an operation, a parameter by name.
*/
#include "server/service.h"

#include <string.h>

static const tc_service *const services[] = { &tc_linkis, &tc_lindorm };

const tc_service *tc_service_find (const char *name) {
  for (size_t i = 0; i < sizeof services / sizeof *services; i++)
    if (strcmp(services[i]->name, name) == 0) return services[i];
  return NULL;
}

const tc_operation *tc_service_operation (const tc_service *s,
                                          const char *name) {
  for (const tc_operation *op = s->operations; op->name != NULL; op++)
    if (strcmp(op->name, name) == 0) return op;
  return NULL;
}

const tc_param *tc_operation_param (const tc_operation *op,
                                    const char *name) {
  const tc_param *p = op->params;
  for (; p != NULL && p->name != NULL; p++)
    if (strcmp(p->name, name) == 0) return p;
  return NULL;
}
