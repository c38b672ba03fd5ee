// A program for musl that loads the addon as Node.js does, for test/packaging/addon.test.ts. The functions of Node-API that do
// not matter are stubs, generated into stubs.h. Prints the names of the addon's exports; then calls `addressOf` without an
// argument, which throws a C++ exception in the addon, and prints the error that reaches JavaScript.
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef void* napi_value;
typedef napi_value (*napi_callback)(void* env, void* info);

#define STUB(name) \
  int name(void) { return 0; }
#include "stubs.h"

static uintptr_t values = 0;
static napi_callback last_function = NULL;
static napi_callback address_of = NULL;
static const char* last_text = "";
static const char* error_text = "";

static int make_value(napi_value* result) {
  *result = (napi_value)++values;
  return 0;
}

int napi_create_object(void* env, napi_value* result) { return make_value(result); }
int napi_create_array(void* env, napi_value* result) { return make_value(result); }
int napi_create_array_with_length(void* env, size_t length, napi_value* result) { return make_value(result); }
int napi_create_double(void* env, double number, napi_value* result) { return make_value(result); }
int napi_get_undefined(void* env, napi_value* result) { return make_value(result); }
int napi_create_reference(void* env, napi_value value, uint32_t count, napi_value* result) { return make_value(result); }
int napi_get_reference_value(void* env, napi_value reference, napi_value* result) { return make_value(result); }

int napi_create_string_utf8(void* env, const char* text, size_t length, napi_value* result) {
  last_text = strdup(text);
  return make_value(result);
}

int napi_create_type_error(void* env, napi_value code, napi_value message, napi_value* result) {
  error_text = last_text;
  return make_value(result);
}

int napi_create_function(void* env, const char* name, size_t length, napi_callback call, void* data, napi_value* result) {
  last_function = call;
  return make_value(result);
}

int napi_set_named_property(void* env, napi_value object, const char* name, napi_value value) {
  if (strcmp(name, "addressOf") == 0) address_of = last_function;
  if (object == (napi_value)-1) printf("%s\n", name);
  return 0;
}

int napi_get_array_length(void* env, napi_value array, uint32_t* result) { return *result = 0; }
int napi_is_typedarray(void* env, napi_value value, bool* result) { return *result = false; }
int napi_is_exception_pending(void* env, bool* result) { return *result = false; }

int napi_typeof(void* env, napi_value value, int* result) {
  *result = 6; // an object
  return 0;
}

int napi_get_cb_info(void* env, void* info, size_t* count, napi_value* arguments, napi_value* self, void** data) {
  *count = 0;
  if (data != NULL) *data = NULL;
  return 0;
}

int napi_throw(void* env, napi_value error) {
  printf("threw: %s\n", error_text);
  return 0;
}

int main(int count, char** arguments) {
  void* addon = count == 2 ? dlopen(arguments[1], RTLD_NOW) : NULL;
  if (addon == NULL) {
    fprintf(stderr, "%s\n", count == 2 ? dlerror() : "usage: musl_host ADDON");
    return 1;
  }
  napi_value (*start)(void*, napi_value) = (napi_value(*)(void*, napi_value))dlsym(addon, "napi_register_module_v1");
  start((void*)1, (napi_value)-1);
  address_of((void*)1, NULL);
  return 0;
}
