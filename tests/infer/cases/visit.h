/* Callbacks whose arguments say little: a count beside one text, a cookie by another name. */
typedef struct book_s *book_t;

int book_each(book_t book, int (*visit)(const char *word, unsigned long count, void *data), void *user_data);
int book_lines(book_t book, int (*visit)(const char *const *lines, unsigned long count, void *data), void *user_data);
