/* list.h: an intrusive doubly linked ring. A node that is in no list points to itself.
 * Threads: the owner of the list, or whoever holds its lock. */
#ifndef ED_BASE_LIST_H
#define ED_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct ed_list {
    struct ed_list *next, *prev;
};

#define ED_CONTAINER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline void ed_list_init(struct ed_list *list) { list->next = list->prev = list; }
static inline bool ed_list_empty(const struct ed_list *list) { return list->next == list; }
static inline void ed_list_push(struct ed_list *list, struct ed_list *node) { /* at the end */
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}
static inline void ed_list_remove(struct ed_list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    ed_list_init(node);
}
static inline struct ed_list *ed_list_pop(struct ed_list *list) { /* the first, NULL if empty */
    struct ed_list *node = list->next;
    if (node == list) return NULL;
    ed_list_remove(node);
    return node;
}
/* All of `from`, behind what is in `list`; `from` is empty afterwards. */
static inline void ed_list_splice(struct ed_list *list, struct ed_list *from) {
    if (ed_list_empty(from)) return;
    from->next->prev = list->prev;
    list->prev->next = from->next;
    from->prev->next = list;
    list->prev = from->prev;
    ed_list_init(from);
}

#endif
