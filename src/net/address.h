/* address.h: socket addresses as numbers and text. Threads: any; no system call. */
#ifndef ED_NET_ADDRESS_H
#define ED_NET_ADDRESS_H

#include "base/base.h"
#include "eddy/net.h"

/* The port in host order, 0 if it has none. */
uint16_t ed_address_port(const eddy_address *address);
/* A numeric host (NULL: any address of `family`) and port without asking anybody. False: it is a name. */
bool ed_address_parse(eddy_address *address, const char *host, int family, uint16_t port);
/* The address of a Unix socket; "@name" is an abstract one. False: empty or too long. */
bool ed_address_path(eddy_address *address, const char *path);

#endif
