// The ends of lines: which of them end a statement, and which are blanks.
//
// A statement goes on in the next line inside parentheses, and after a comma or `then` if that line is
// indented. Where a statement can end the grammar says; how deep the parentheses are is counted here.

#include "tree_sitter/parser.h"

#include <stdlib.h>
#include <string.h>

enum TokenType { NEWLINE, JOINED, OPEN, CLOSE, OPEN_BRACKET, CLOSE_BRACKET, ERROR_SENTINEL };

typedef struct {
  uint8_t depth;
} Scanner;

void *tree_sitter_layerlr_external_scanner_create(void) { return calloc(1, sizeof(Scanner)); }

void tree_sitter_layerlr_external_scanner_destroy(void *payload) { free(payload); }

unsigned tree_sitter_layerlr_external_scanner_serialize(void *payload, char *buffer) {
  buffer[0] = (char)((Scanner *)payload)->depth;
  return 1;
}

void tree_sitter_layerlr_external_scanner_deserialize(void *payload, const char *buffer, unsigned length) {
  ((Scanner *)payload)->depth = length == 1 ? (uint8_t)buffer[0] : 0;
}

static bool is_blank(int32_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == 0xFEFF; }

// Whether the next line with more than a comment on it is indented; the token ended before.
static bool is_indented_behind(TSLexer *lexer) {
  for (;;) {
    bool indented = false;
    while (is_blank(lexer->lookahead)) {
      indented = true;
      lexer->advance(lexer, false);
    }
    if (lexer->lookahead == '#') {
      while (lexer->lookahead != '\n' && !lexer->eof(lexer)) lexer->advance(lexer, false);
    }
    if (lexer->eof(lexer)) return false;
    if (lexer->lookahead != '\n') return indented;
    lexer->advance(lexer, false);
  }
}

// Statements that no expression begins like: a value may be called `steps` or `model`.
static const char *const WORDS[] = {"let", "group", "freeze", "unfreeze", "expect", "schedule", "optimizer", "include"};

static bool opens_statement(const char *word) {
  for (size_t i = 0; i < sizeof(WORDS) / sizeof(*WORDS); i++) {
    if (strcmp(word, WORDS[i]) == 0) return true;
  }
  return false;
}

// What ends the search for an arrow. No strchr: editors that run grammars as WebAssembly have few functions of C.
static bool ends_search(int32_t sign) { return sign == 0 || sign == '\n' || sign == '#' || sign == '"' || sign == '/'; }

// Whether the line ahead can only be a statement of its own, so that a parenthesis before it was never closed.
static bool is_statement_ahead(TSLexer *lexer) {
  char word[12] = "";
  size_t length = 0;
  while (length < sizeof(word) - 1 && lexer->lookahead >= 'a' && lexer->lookahead <= 'z') {
    word[length++] = (char)lexer->lookahead;
    lexer->advance(lexer, false);
  }
  if (lexer->lookahead == ' ' && opens_statement(word)) return true;
  // What stands in a text, a regular expression or a comment is no arrow.
  int32_t before = 0;
  while (!ends_search(lexer->lookahead)) {
    if (before == '-' && lexer->lookahead == '>') return true;
    before = lexer->lookahead;
    lexer->advance(lexer, false);
  }
  return false;
}

static bool scan_sign(Scanner *scanner, TSLexer *lexer, enum TokenType sign, bool opens) {
  if (opens && scanner->depth < UINT8_MAX) scanner->depth++;
  if (!opens && scanner->depth > 0) scanner->depth--;
  lexer->advance(lexer, false);
  lexer->result_symbol = sign;
  return true;
}

static bool scan_newline(Scanner *scanner, TSLexer *lexer, const bool *valid) {
  lexer->advance(lexer, false);
  lexer->mark_end(lexer);
  bool recovering = valid[ERROR_SENTINEL];
  bool goes_on = scanner->depth > 0 ? !is_statement_ahead(lexer) : !valid[NEWLINE] && is_indented_behind(lexer);
  // Where nothing but an error can come of it, the statement ends with its line all the same.
  lexer->result_symbol = goes_on && !recovering ? JOINED : NEWLINE;
  if (lexer->result_symbol == NEWLINE) scanner->depth = 0;
  return true;
}

bool tree_sitter_layerlr_external_scanner_scan(void *payload, TSLexer *lexer, const bool *valid) {
  Scanner *scanner = payload;
  while (is_blank(lexer->lookahead)) lexer->advance(lexer, true);
  // A bracket may begin the name of a layer, which is for the grammar's own lexer to see.
  bool recovering = valid[ERROR_SENTINEL];
  switch (lexer->lookahead) {
    case '\n':
      return scan_newline(scanner, lexer, valid);
    case '(':
      return valid[OPEN] && scan_sign(scanner, lexer, OPEN, true);
    case ')':
      return valid[CLOSE] && scan_sign(scanner, lexer, CLOSE, false);
    case '[':
      return valid[OPEN_BRACKET] && !recovering && scan_sign(scanner, lexer, OPEN_BRACKET, true);
    case ']':
      return valid[CLOSE_BRACKET] && !recovering && scan_sign(scanner, lexer, CLOSE_BRACKET, false);
    default:
      return false;
  }
}
