/* symbols.c: names of places in the code, for reports: "query+0x1c (service+0x4a1f)".
 *
 * Problem    Coroutines are mostly static functions. The dynamic linker knows no names of these, and in most programs
 *            none at all.
 * Idea       The symbol table in the program's file has them, unless it was stripped. A file is mapped when it is first
 *            asked for and stays mapped: a report must need little. The second part is what `addr2line -e` takes.
 * Threads    Any; not in a signal handler. One lock.
 * Tests      tests/base/symbols_test.c. */
#include "base/base.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 32 };

struct file {
    const void *base;  /* where it is loaded: its key */
    const char *bytes; /* NULL: it cannot be read */
    size_t size;
    const ElfW(Sym) * symbols;
    size_t symbols_count;
    const char *names;
    size_t names_bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file files[FILES_MAX]; /* under lock, as the next */
static size_t files_count;

__attribute__((noinline)) static void map_file(struct file *file, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0) return;
    if (fstat(fd, &status) == 0 && status.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes != MAP_FAILED) {
            file->bytes = bytes;
            file->size = (size_t)status.st_size;
        }
    }
    close(fd);
}

static bool inside(const struct file *file, uint64_t offset, uint64_t bytes) {
    return offset <= file->size && bytes <= file->size - offset;
}

static void find_tables(struct file *file) {
    const ElfW(Ehdr) *header = (const void *)file->bytes;
    if (!inside(file, 0, sizeof *header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return;
    if (header->e_shentsize != sizeof(ElfW(Shdr)) || header->e_shoff % _Alignof(ElfW(Shdr)) != 0) return;
    if (!inside(file, header->e_shoff, (uint64_t)header->e_shnum * sizeof(ElfW(Shdr)))) return;
    const ElfW(Shdr) *sections = (const void *)(file->bytes + header->e_shoff);
    for (unsigned i = 0; i < header->e_shnum; i++) {
        const ElfW(Shdr) *section = &sections[i];
        if (section->sh_type != SHT_SYMTAB || section->sh_link >= header->e_shnum) continue;
        const ElfW(Shdr) *names = &sections[section->sh_link];
        if (!inside(file, section->sh_offset, section->sh_size) || !inside(file, names->sh_offset, names->sh_size))
            continue;
        if (section->sh_offset % _Alignof(ElfW(Sym)) != 0) continue;
        file->symbols = (const void *)(file->bytes + section->sh_offset);
        file->symbols_count = section->sh_size / sizeof(ElfW(Sym));
        file->names = file->bytes + names->sh_offset;
        file->names_bytes = names->sh_size;
    }
}

/* The file loaded at `base`; NULL: there are too many. */
static struct file *file_at(const void *base, const char *path) {
    for (size_t i = 0; i < files_count; i++)
        if (files[i].base == base) return &files[i];
    if (files_count == FILES_MAX) return NULL;
    struct file *file = &files[files_count++];
    file->base = base;
    map_file(file, path);
    if (file->bytes != NULL) find_tables(file);
    return file;
}

/* The function that contains `offset` of the file: its name, NULL if it has none, and where it begins. */
static const char *function_at(const struct file *file, uint64_t offset, uint64_t *start_out) {
    for (size_t i = 0; i < file->symbols_count; i++) {
        const ElfW(Sym) *symbol = &file->symbols[i];
        if ((symbol->st_info & 0xf) != STT_FUNC || symbol->st_shndx == SHN_UNDEF) continue;
        if (offset < symbol->st_value || offset - symbol->st_value >= symbol->st_size) continue;
        if (symbol->st_name >= file->names_bytes) continue;
        const char *name = file->names + symbol->st_name;
        if (memchr(name, '\0', file->names_bytes - symbol->st_name) == NULL) continue;
        *start_out = symbol->st_value;
        return name;
    }
    return NULL;
}

size_t ed_symbol_print(const void *place, char *buffer, size_t bytes) {
    Dl_info info;
    struct link_map *map = NULL;
    const char *before = (const char *)place - 1; /* of the call: a return address may lie behind the function's end */
    if (dladdr1(before, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || map == NULL)
        return (size_t)snprintf(buffer, bytes, "%p", place);
    const bool program = map->l_name == NULL || map->l_name[0] == '\0';
    const uint64_t offset = (uint64_t)((uintptr_t)before - map->l_addr);
    uint64_t start = info.dli_sname != NULL ? (uint64_t)((uintptr_t)info.dli_saddr - map->l_addr) : 0;
    const char *name = info.dli_sname;
    pthread_mutex_lock(&lock);
    const struct file *file = file_at(info.dli_fbase, program ? "/proc/self/exe" : info.dli_fname);
    if (file != NULL && file->symbols != NULL) {
        const char *found = function_at(file, offset, &start);
        if (found != NULL) name = found;
    }
    pthread_mutex_unlock(&lock); /* names stay: files are never unmapped */
    const char *path = info.dli_fname != NULL ? info.dli_fname : "?", *slash = strrchr(path, '/');
    const char *where = slash != NULL ? slash + 1 : path;
    if (name == NULL) return (size_t)snprintf(buffer, bytes, "? (%s+0x%llx)", where, (unsigned long long)offset + 1);
    return (size_t)snprintf(buffer, bytes, "%s+0x%llx (%s+0x%llx)", name, (unsigned long long)(offset + 1 - start),
                            where, (unsigned long long)offset + 1);
}

size_t ed_symbols_print(void *const *places, size_t count, const char *indent, char *buffer, size_t bytes) {
    size_t used = 0;
    if (bytes > 0) buffer[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        char line[256];
        ed_symbol_print(places[i], line, sizeof line);
        size_t room = used < bytes ? bytes - used : 0;
        used += (size_t)snprintf(room > 0 ? buffer + used : NULL, room, "%s%s%s", i > 0 ? "\n" : "", indent, line);
    }
    return used;
}
