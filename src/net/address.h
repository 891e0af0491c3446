/* address.h: socket addresses as numbers and text. Threads: any; no system call. */
#ifndef ED_NET_ADDRESS_H
#define ED_NET_ADDRESS_H

#include "base/base.h"
#include "eddy/net.h"

#include <netinet/in.h>
#include <string.h>

/* The port in host order, 0 if it has none. */
uint16_t ed_address_port(const eddy_address *address);
/* A numeric host (NULL: any address of `family`) and port without asking anybody. False: it is a name. */
bool ed_address_parse(eddy_address *address, const char *host, int family, uint16_t port);
/* The address of a Unix socket; "@name" is an abstract one. False: empty or too long. */
bool ed_address_path(eddy_address *address, const char *path);

/* What an address means, without the room for others: 8 bytes instead of 136 for IPv4. Gives how many. */
static inline unsigned ed_address_packed(const eddy_address *address) {
    if (address->bytes == sizeof(struct sockaddr_in) && address->storage.ss_family == AF_INET)
        return offsetof(struct sockaddr_in, sin_zero);
    return address->bytes < sizeof address->storage ? (unsigned)address->bytes : (unsigned)sizeof address->storage;
}
static inline unsigned ed_address_pack(char *to, const eddy_address *address) {
    memcpy(to, &address->storage, ed_address_packed(address));
    return ed_address_packed(address);
}
static inline eddy_address ed_address_unpack(const char *from, unsigned bytes) {
    eddy_address address = {.bytes = bytes};
    memcpy(&address.storage, from, bytes);
    if (address.storage.ss_family == AF_INET) address.bytes = sizeof(struct sockaddr_in);
    return address;
}

#endif
