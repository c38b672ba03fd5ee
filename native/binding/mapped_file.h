// Read-only mappings of files, as JavaScript holds them. Made, paged in and given back here; the kernels see plain
// addresses. Called by addon.cpp, which puts the functions among its exports.
#pragma once

#include <napi.h>

void export_mapped_files(Napi::Env env, Napi::Object exports);
