// The part of llama.cpp's C interface that the probe uses, declared as in include/llama.h of the release named below:
// the package of its libraries has no headers. The probe checks the version, the defaults and its settings.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace llama {

/** What llama_version() returns for the release whose structures are declared here. */
constexpr const char* kRelease = "0.5.0";

using Token = int32_t;
struct Model;
struct Context;
struct Vocabulary;
struct Memory;

constexpr int32_t kLoadMapped = 1;
constexpr int32_t kTypeF32 = 0;
constexpr int32_t kTypeF16 = 1;
constexpr int32_t kTypeQ8_0 = 8;

struct ModelParams {
  void* devices;
  const void* buffer_overrides;
  int32_t gpu_layers;
  int32_t split_mode;
  int32_t load_mode;
  int32_t lazy_mode;
  int32_t main_gpu;
  const float* tensor_split;
  void* progress_callback;
  void* progress_callback_data;
  const void* metadata_overrides;
  bool vocabulary_only;
  bool check_tensors;
  bool use_extra_buffers;
  bool no_host;
  bool no_alloc;
  bool load_mtp;
};

struct ContextParams {
  uint32_t n_ctx;
  uint32_t n_batch;
  uint32_t n_ubatch;
  uint32_t sequences;
  uint32_t recurrent_snapshots;
  uint32_t outputs;
  uint32_t outputs_per_sequence;
  int32_t threads;
  int32_t threads_batch;
  int32_t context_type;
  int32_t rope_scaling;
  int32_t pooling;
  int32_t attention;
  int32_t flash_attention;
  float rope_base;
  float rope_scale;
  float yarn_extension;
  float yarn_attention;
  float yarn_beta_fast;
  float yarn_beta_slow;
  uint32_t yarn_context;
  float defragment;
  void* eval_callback;
  void* eval_callback_data;
  int32_t type_k;
  int32_t type_v;
  void* abort_callback;
  void* abort_callback_data;
  bool embeddings;
  bool offload_attention;
  bool no_perf;
  bool op_offload;
  bool swa_full;
  bool kv_unified;
  void* samplers;
  size_t sampler_count;
  Context* other;
};

struct Batch {
  int32_t tokens;
  Token* token;
  float* embedding;
  int32_t* position;
  int32_t* sequence_counts;
  int32_t** sequences;
  int8_t* wanted;
};

/** The libraries, opened from their folder. They stay open until the process ends. */
class Library {
 public:
  explicit Library(const std::string& folder) {
    ggml_ = open(folder + "/libggml.v" + kRelease + ".so");
    llama_ = open(folder + "/libllama.v" + kRelease + ".so");
    find(llama_, "llama_version", version);
    find(llama_, "llama_log_set", log_set);
    find(llama_, "llama_backend_init", backend_init);
    find(ggml_, "ggml_backend_load_all_from_path", load_backends);
    find(llama_, "llama_print_system_info", system_info);
    find(llama_, "llama_model_default_params", model_defaults);
    find(llama_, "llama_context_default_params", context_defaults);
    find(llama_, "llama_model_load_from_file", load_model);
    find(llama_, "llama_model_free", free_model);
    find(llama_, "llama_model_get_vocab", vocabulary);
    find(llama_, "llama_model_n_embd_out", embedding_size);
    find(llama_, "llama_model_n_params", parameters);
    find(llama_, "llama_model_desc", describe);
    find(llama_, "llama_init_from_model", create_context);
    find(llama_, "llama_free", free_context);
    find(llama_, "llama_get_model", model_of);
    find(llama_, "llama_n_ctx", n_ctx);
    find(llama_, "llama_n_batch", n_batch);
    find(llama_, "llama_n_ubatch", n_ubatch);
    find(llama_, "llama_n_threads", n_threads);
    find(llama_, "llama_pooling_type", pooling);
    find(llama_, "llama_get_memory", memory);
    find(llama_, "llama_memory_clear", clear_memory);
    find(llama_, "llama_memory_seq_rm", remove_positions);
    find(llama_, "llama_decode", decode);
    find(llama_, "llama_get_logits_ith", logits);
    find(llama_, "llama_get_embeddings_ith", token_embedding);
    find(llama_, "llama_get_embeddings_seq", sequence_embedding);
    find(llama_, "llama_vocab_n_tokens", vocabulary_size);
    find(llama_, "llama_vocab_bos", bos);
    find(llama_, "llama_vocab_eos", eos);
    find(llama_, "llama_vocab_get_add_bos", adds_bos);
    find(llama_, "llama_vocab_get_add_eos", adds_eos);
    find(llama_, "llama_vocab_is_eog", ends_generation);
    find(llama_, "llama_vocab_is_control", is_control);
    find(llama_, "llama_tokenize", tokenize);
    find(llama_, "llama_detokenize", detokenize);
    find(llama_, "llama_token_to_piece", piece);
  }

  const char* (*version)();
  void (*log_set)(void (*callback)(int32_t level, const char* text, void* data), void* data);
  void (*backend_init)();
  void (*load_backends)(const char* folder);
  const char* (*system_info)();

  ModelParams (*model_defaults)();
  ContextParams (*context_defaults)();
  Model* (*load_model)(const char* path, ModelParams params);
  void (*free_model)(Model*);
  const Vocabulary* (*vocabulary)(const Model*);
  int32_t (*embedding_size)(const Model*);
  uint64_t (*parameters)(const Model*);
  int32_t (*describe)(const Model*, char* text, size_t size);

  Context* (*create_context)(Model*, ContextParams params);
  void (*free_context)(Context*);
  const Model* (*model_of)(const Context*);
  uint32_t (*n_ctx)(const Context*);
  uint32_t (*n_batch)(const Context*);
  uint32_t (*n_ubatch)(const Context*);
  int32_t (*n_threads)(Context*);
  int32_t (*pooling)(const Context*);
  Memory* (*memory)(const Context*);
  void (*clear_memory)(Memory*, bool data);
  bool (*remove_positions)(Memory*, int32_t sequence, int32_t from, int32_t to);
  int32_t (*decode)(Context*, Batch);
  float* (*logits)(Context*, int32_t index);
  float* (*token_embedding)(Context*, int32_t index);
  float* (*sequence_embedding)(Context*, int32_t sequence);

  int32_t (*vocabulary_size)(const Vocabulary*);
  Token (*bos)(const Vocabulary*);
  Token (*eos)(const Vocabulary*);
  bool (*adds_bos)(const Vocabulary*);
  bool (*adds_eos)(const Vocabulary*);
  bool (*ends_generation)(const Vocabulary*, Token);
  bool (*is_control)(const Vocabulary*, Token);
  int32_t (*tokenize)(const Vocabulary*, const char* text, int32_t length, Token* tokens, int32_t room, bool add_special,
                      bool parse_special);
  int32_t (*detokenize)(const Vocabulary*, const Token* tokens, int32_t count, char* text, int32_t room,
                        bool remove_special, bool unparse_special);
  int32_t (*piece)(const Vocabulary*, Token, char* text, int32_t room, int32_t strip, bool special);

 private:
  static void* open(const std::string& path) {
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (handle == nullptr) throw std::runtime_error(dlerror());
    return handle;
  }

  template <typename Function>
  static void find(void* handle, const char* name, Function& function) {
    void* address = dlsym(handle, name);
    if (address == nullptr) throw std::runtime_error(std::string("the library has no ") + name);
    function = reinterpret_cast<Function>(address);
  }

  void* ggml_;
  void* llama_;
};

}  // namespace llama
