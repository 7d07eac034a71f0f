/* Declarations that are legal and rare: none may crash, and what is not understood asks.
 * Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct _event *event;
typedef event event_alias;
struct self;
typedef float vec4 __attribute__((vector_size(16)));
typedef int fn(int);
typedef void (*recursive)(void (*)(int), struct self *s);
enum colour { RED, GREEN };
struct bits {
    unsigned a : 3;
    unsigned : 5;
    unsigned b : 7;
    bool c;
};
struct self {
    void (*visit)(struct self *self, void *user_data);
    struct self *parent;
    char flexible[];
};
struct forward;

int no_prototype();
int unnamed(int, const char *, void *, event[]);
int (*returns_function(int kind))(int);
int takes_function(fn callback, fn *again, recursive more);
int nested(int (*outer)(int (*inner)(int, void *), void *user_data), void *user_data);
int values(vec4 v, _Complex double z, long double w, enum colour c, struct bits b, bool yes);
int lists(va_list args, event events[], int matrix[][3], const event_alias *aliases, unsigned num_aliases);
int this_name_is_quite_long_and_has_more_words_in_it_than_anybody_would_ever_want_to_count(
    int number_of_things_that_are_in_the_list_of_all_the_things_that_there_are_in_the_world,
    const int *things_that_are_in_the_list_of_all_the_things_that_there_are_in_the_world_list);
int supercalifragilisticexpialidocious_is_one_word(const char *supercalifragilisticexpialidocious_name, int *_, int *__);
void visit(struct self *s, struct forward *f, const volatile int *restrict p, char *const *argv, int argc);
int *(((parenthesized)))(int *(a), int (*(*b)));
