/* address.c: socket addresses as numbers and text. */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

uint16_t ed_address_port(const eddy_address *address) {
    switch (address->bytes == 0 ? AF_UNSPEC : address->storage.ss_family) {
    case AF_INET: return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
    case AF_INET6: return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
    default: return 0;
    }
}

bool ed_address_parse(eddy_address *address, const char *host, int family, uint16_t port) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
    *address = (eddy_address){.bytes = 0};
    if (family != AF_INET6 && (host == NULL || inet_pton(AF_INET, host, &in.sin_addr) == 1)) {
        memcpy(&address->storage, &in, sizeof in);
        address->bytes = sizeof in;
    } else if (family != AF_INET && (host == NULL || inet_pton(AF_INET6, host, &in6.sin6_addr) == 1)) {
        memcpy(&address->storage, &in6, sizeof in6);
        address->bytes = sizeof in6;
    }
    return address->bytes != 0;
}

bool ed_address_path(eddy_address *address, const char *path) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t bytes = strlen(path);
    *address = (eddy_address){.bytes = 0};
    if (bytes == 0 || bytes >= sizeof un.sun_path) return false;
    memcpy(un.sun_path, path, bytes);
    bool abstract = path[0] == '@';
    if (abstract) un.sun_path[0] = '\0';
    memcpy(&address->storage, &un, sizeof un);
    address->bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes + !abstract);
    return true;
}

size_t eddy_address_text(const eddy_address *address, char *buffer, size_t bytes) {
    char host[INET6_ADDRSTRLEN] = "";
    int length;
    if (address->bytes != 0 && address->storage.ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&address->storage)->sin_addr, host, sizeof host);
        length = snprintf(buffer, bytes, "%s:%u", host, ed_address_port(address));
    } else if (address->bytes != 0 && address->storage.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&address->storage)->sin6_addr, host, sizeof host);
        length = snprintf(buffer, bytes, "[%s]:%u", host, ed_address_port(address));
    } else if (address->bytes > offsetof(struct sockaddr_un, sun_path) && address->storage.ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
        bool abstract = un->sun_path[0] == '\0';
        int name_bytes = (int)(address->bytes - offsetof(struct sockaddr_un, sun_path)) - abstract;
        length = snprintf(buffer, bytes, "%s%.*s", abstract ? "@" : "", name_bytes, un->sun_path + abstract);
    } else {
        length = snprintf(buffer, bytes, "%s", "");
    }
    return (size_t)length;
}
