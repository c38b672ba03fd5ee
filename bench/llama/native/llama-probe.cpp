// Runs llama.cpp for bench/llama/llama-process.ts: executes the commands on its standard input, one a line, and answers
// each with a line that begins with '@'. Many numbers are written to files. `llama-probe FOLDER_OF_LIBRARIES`.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <vector>

#include "llama-api.h"

namespace {

using llama::Token;
using Tokens = std::vector<Token>;

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string first_error;

/** Keeps the library's first error message for the answer, and drops the rest. */
void keep_first_error(int32_t level, const char* text, void*) {
  constexpr int32_t kError = 4;
  if (level != kError || !first_error.empty()) return;
  first_error = text;
  std::replace(first_error.begin(), first_error.end(), '\n', ' ');
}

void require(bool holds, const std::string& what) {
  if (holds) return;
  const std::string why = first_error.empty() ? "" : ": " + first_error;
  first_error.clear();
  throw std::runtime_error(what + why);
}

/** Checks by their defaults that the structures in llama-api.h have the library's layout. */
void check_layout(const llama::Library& library) {
  const std::string version = library.version();
  require(version.rfind(llama::kRelease, 0) == 0, "llama.cpp is " + version + ", not " + llama::kRelease);
  const llama::ModelParams model = library.model_defaults();
  require(model.gpu_layers == -1 && model.split_mode == 1 && model.load_mode == -1 && model.lazy_mode == 1 &&
              model.use_extra_buffers && !model.vocabulary_only && !model.no_alloc,
          "the model parameters are laid out differently");
  const llama::ContextParams context = library.context_defaults();
  require(context.n_ctx == 512 && context.n_batch == 2048 && context.n_ubatch == 512 && context.outputs_per_sequence == 1 &&
              context.threads_batch == 4 && context.pooling == -1 && context.flash_attention == -1 &&
              context.defragment == -1.0f && context.type_k == llama::kTypeF16 && context.type_v == llama::kTypeF16 &&
              context.sequences == 1 && !context.kv_unified && !context.embeddings && context.offload_attention &&
              context.no_perf && context.swa_full && context.other == nullptr,
          "the context parameters are laid out differently");
}

/** A batch: rows of any sequences, each a token at a position. */
class Rows {
 public:
  /** @param wanted whether the logits after the row are computed */
  void add(int32_t sequence, Token token, int32_t position, bool wanted) {
    sequences_.push_back(sequence);
    tokens_.push_back(token);
    positions_.push_back(position);
    wanted_.push_back(wanted ? 1 : 0);
  }

  /** Consecutive tokens of a sequence, from a position on. The logits of the last one are wanted in any case. */
  void add_all(int32_t sequence, const Token* tokens, size_t count, int32_t first, bool all_wanted) {
    for (size_t i = 0; i < count; i++) add(sequence, tokens[i], first + static_cast<int32_t>(i), all_wanted || i + 1 == count);
  }

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }

  llama::Batch batch() {
    counts_.assign(tokens_.size(), 1);
    ids_.clear();
    for (int32_t& sequence : sequences_) ids_.push_back(&sequence);
    return {size(), tokens_.data(), nullptr, positions_.data(), counts_.data(), ids_.data(), wanted_.data()};
  }

 private:
  std::vector<int32_t> sequences_;
  Tokens tokens_;
  std::vector<int32_t> positions_;
  std::vector<int8_t> wanted_;
  std::vector<int32_t> counts_;
  std::vector<int32_t*> ids_;
};

Rows rows_of(const Tokens& tokens, int32_t first, bool all_wanted) {
  Rows rows;
  rows.add_all(0, tokens.data(), tokens.size(), first, all_wanted);
  return rows;
}

/** The words of a request: NAME=VALUE, in any order. */
class Words {
 public:
  explicit Words(std::istringstream& input) {
    for (std::string word; input >> word;) {
      const size_t at = word.find('=');
      require(at != std::string::npos, "expected NAME=VALUE, got " + word);
      values_[word.substr(0, at)] = word.substr(at + 1);
    }
  }

  const std::string& text(const std::string& name) const {
    const auto found = values_.find(name);
    require(found != values_.end(), "there is no " + name);
    return found->second;
  }

  int32_t number(const std::string& name) const { return std::stoi(text(name)); }

  Tokens tokens(const std::string& name) const {
    Tokens tokens;
    std::istringstream list(text(name));
    for (std::string id; std::getline(list, id, ',');) tokens.push_back(std::stoi(id));
    return tokens;
  }

  /** Bytes, written in hexadecimal digits. */
  std::string bytes(const std::string& name) const {
    std::string bytes;
    const std::string& digits = text(name);
    for (size_t i = 0; i + 1 < digits.size(); i += 2) bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    return bytes;
  }

 private:
  std::map<std::string, std::string> values_;
};

std::string to_hex(const std::string& bytes) {
  static const char* digits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::string joined(const Tokens& tokens) {
  std::ostringstream text;
  for (size_t i = 0; i < tokens.size(); i++) text << (i == 0 ? "" : ",") << tokens[i];
  return text.str();
}

class Probe {
 public:
  explicit Probe(const std::string& folder) : folder_(folder) {}

  std::string execute(const std::string& line) {
    static const std::map<std::string, std::string (Probe::*)(const Words&)> commands = {
        {"open", &Probe::open},         {"load", &Probe::load},           {"context", &Probe::context},
        {"close", &Probe::close},       {"tokenize", &Probe::tokenize},   {"detokenize", &Probe::detokenize},
        {"piece", &Probe::piece},       {"logits", &Probe::logits},       {"greedy", &Probe::greedy},
        {"embed", &Probe::embed},       {"losses", &Probe::losses},       {"generate", &Probe::generate},
        {"serve", &Probe::serve},
    };
    std::istringstream input(line);
    std::string command;
    input >> command;
    const auto found = commands.find(command);
    require(found != commands.end(), "there is no command " + command);
    const std::string answer = (this->*found->second)(Words(input));
    return answer.empty() ? "ok" : "ok " + answer;
  }

 private:
  std::string open(const Words&) {
    library_ = std::make_unique<llama::Library>(folder_);
    library_->log_set(keep_first_error, nullptr);
    check_layout(*library_);
    library_->load_backends(folder_.c_str());
    library_->backend_init();
    return std::string("llama.cpp ") + library_->version() + ", " + library_->system_info();
  }

  std::string load(const Words& words) {
    release_model();
    llama::ModelParams params = library_->model_defaults();
    params.load_mode = llama::kLoadMapped;
    params.use_extra_buffers = words.number("repack") != 0;
    params.vocabulary_only = words.number("vocabularyOnly") != 0;
    first_error.clear();
    model_ = library_->load_model(words.bytes("path").c_str(), params);
    require(model_ != nullptr, "llama.cpp does not load the file");
    vocabulary_ = library_->vocabulary(model_);
    Tokens ends;
    Tokens controls;
    for (Token id = 0; id < library_->vocabulary_size(vocabulary_); id++) {
      if (library_->ends_generation(vocabulary_, id)) ends.push_back(id);
      if (library_->is_control(vocabulary_, id)) controls.push_back(id);
    }
    std::ostringstream answer;
    answer << "vocabulary=" << library_->vocabulary_size(vocabulary_) << " dim=" << library_->embedding_size(model_)
           << " parameters=" << library_->parameters(model_) << " bos=" << library_->bos(vocabulary_)
           << " eos=" << library_->eos(vocabulary_) << " addsBos=" << library_->adds_bos(vocabulary_)
           << " addsEos=" << library_->adds_eos(vocabulary_) << " ends=" << joined(ends) << " controls=" << joined(controls);
    return answer.str();
  }

  std::string context(const Words& words) {
    close_context(words.text("name"));
    llama::ContextParams params = library_->context_defaults();
    params.n_ctx = static_cast<uint32_t>(words.number("positions"));
    params.n_batch = static_cast<uint32_t>(words.number("batch"));
    params.n_ubatch = params.n_batch;
    params.sequences = static_cast<uint32_t>(words.number("sequences"));
    // Of many sequences, only the logits after their last rows are asked for; of one, those of any row.
    params.outputs_per_sequence = params.sequences > 1 ? 1 : 0;
    params.threads = params.threads_batch = words.number("threads");
    params.flash_attention = words.number("flash");
    params.pooling = words.number("pooling");
    params.embeddings = words.number("embeddings") != 0;
    params.type_k = params.type_v = words.number("cacheType");
    first_error.clear();
    llama::Context* context = library_->create_context(model_, params);
    require(context != nullptr, "llama.cpp makes no context");
    contexts_[words.text("name")] = context;
    require(library_->model_of(context) == model_ && library_->n_ctx(context) >= params.n_ctx &&
                library_->n_batch(context) <= params.n_batch && library_->n_threads(context) == params.threads,
            "the context is not what was asked for");
    std::ostringstream answer;
    answer << "positions=" << library_->n_ctx(context) << " batch=" << library_->n_ubatch(context)
           << " pooling=" << library_->pooling(context);
    return answer.str();
  }

  std::string close(const Words& words) {
    close_context(words.text("name"));
    return "";
  }

  std::string tokenize(const Words& words) {
    const std::string text = words.bytes("text");
    Tokens tokens(text.size() + 16);
    const auto room = static_cast<int32_t>(tokens.size());
    const int32_t count = library_->tokenize(vocabulary_, text.data(), static_cast<int32_t>(text.size()), tokens.data(), room,
                                             words.number("addSpecial") != 0, words.number("parseSpecial") != 0);
    require(count >= 0, "the text has more tokens than bytes");
    tokens.resize(static_cast<size_t>(count));
    return "tokens=" + joined(tokens);
  }

  std::string detokenize(const Words& words) {
    const Tokens tokens = words.tokens("tokens");
    return "text=" + to_hex(grown([&](char* text, int32_t room) {
             return library_->detokenize(vocabulary_, tokens.data(), static_cast<int32_t>(tokens.size()), text, room, false,
                                         words.number("special") != 0);
           }));
  }

  std::string piece(const Words& words) {
    return "text=" + to_hex(grown([&](char* text, int32_t room) {
             return library_->piece(vocabulary_, words.number("token"), text, room, 0, words.number("special") != 0);
           }));
  }

  /** Repeats a call that returns the negative length when the room is too small. */
  static std::string grown(const std::function<int32_t(char*, int32_t)>& call) {
    std::string text(256, '\0');
    int32_t length = call(text.data(), static_cast<int32_t>(text.size()));
    if (length < 0) {
      text.resize(static_cast<size_t>(-length));
      length = call(text.data(), static_cast<int32_t>(text.size()));
    }
    require(length >= 0, "no text");
    text.resize(static_cast<size_t>(length));
    return text;
  }

  /** Writes the logits of every token of a sequence, f32 [tokens, vocabulary], from an empty context. */
  std::string logits(const Words& words) {
    llama::Context* context = fresh(words);
    const auto size = static_cast<size_t>(library_->vocabulary_size(vocabulary_));
    std::ofstream file(words.bytes("file"), std::ios::binary);
    each_output(context, words.tokens("tokens"), [&](int32_t index, size_t) {
      const float* row = library_->logits(context, index);
      require(row != nullptr, "there are no logits");
      file.write(reinterpret_cast<const char*>(row), static_cast<std::streamsize>(size * sizeof(float)));
    });
    file.close();
    require(!file.fail(), "the file cannot be written");
    return "";
  }

  /** The sum of the negative log likelihoods of tokens 1, 2 … of a sequence. */
  std::string losses(const Words& words) {
    llama::Context* context = fresh(words);
    const auto size = static_cast<size_t>(library_->vocabulary_size(vocabulary_));
    const Tokens tokens = words.tokens("tokens");
    double total = 0;
    each_output(context, Tokens(tokens.begin(), tokens.end() - 1), [&](int32_t index, size_t at) {
      const float* row = library_->logits(context, index);
      require(row != nullptr, "there are no logits");
      const double most = *std::max_element(row, row + size);
      double sum = 0;
      for (size_t i = 0; i < size; i++) sum += std::exp(row[i] - most);
      total += most + std::log(sum) - row[tokens[at + 1]];
    });
    std::ostringstream answer;
    answer.precision(17);
    answer << "nll=" << total;
    return answer.str();
  }

  std::string greedy(const Words& words) {
    llama::Context* context = fresh(words);
    const Tokens prompt = words.tokens("tokens");
    each_output(context, prompt, nullptr);
    return "tokens=" + joined(continued(context, prompt.size(), words.number("count")));
  }

  /** Writes the pooled embedding, f32 [dim], or without pooling that of every token, f32 [tokens, dim]. */
  std::string embed(const Words& words) {
    llama::Context* context = fresh(words);
    const auto size = static_cast<std::streamsize>(sizeof(float)) * library_->embedding_size(model_);
    const Tokens tokens = words.tokens("tokens");
    std::ofstream file(words.bytes("file"), std::ios::binary);
    constexpr int32_t kNoPooling = 0;
    const auto write = [&](const float* row) {
      require(row != nullptr, "there are no embeddings");
      file.write(reinterpret_cast<const char*>(row), size);
    };
    if (library_->pooling(context) == kNoPooling) {
      each_output(context, tokens, [&](int32_t index, size_t) { write(library_->token_embedding(context, index)); });
    } else {
      Rows rows = rows_of(tokens, 0, true);
      run(context, rows);
      write(library_->sequence_embedding(context, 0));
    }
    file.close();
    require(!file.fail(), "the file cannot be written");
    return "";
  }

  /** The times of the prompt and of `count` steps after it, and the tokens: after the prompt, then after each step. */
  std::string generate(const Words& words) {
    llama::Context* context = fresh(words);
    const Tokens prompt = words.tokens("tokens");
    const double started = now_ms();
    each_output(context, prompt, nullptr);
    best(context, -1);
    const double prefilled = now_ms();
    const Tokens tokens = continued(context, prompt.size(), words.number("count") + 1);
    std::ostringstream answer;
    answer << "prefillMs=" << prefilled - started << " decodeMs=" << now_ms() - prefilled << " tokens=" << joined(tokens);
    return answer.str();
  }

  /**
   * The times of many sequences at once, as llama-batched-bench takes them: all prompts, as many whole ones in a batch as fit,
   * then steps of one row for each sequence. `prompts` has those of all sequences, of one length; `followers` the tokens to
   * compute after them, those of a step together. No token is chosen: the logits are there, and that is the end of a step.
   */
  std::string serve(const Words& words) {
    llama::Context* context = fresh(words);
    const Tokens prompts = words.tokens("prompts");
    const Tokens followers = words.tokens("followers");
    const auto sequences = static_cast<size_t>(words.number("sequences"));
    require(sequences > 0 && prompts.size() % sequences == 0 && followers.size() % sequences == 0, "uneven sequences");
    const size_t length = prompts.size() / sequences;
    require(length <= library_->n_batch(context), "the prompts do not fit into a batch");
    const double started = now_ms();
    Rows rows;
    for (size_t i = 0; i < sequences; i++) {
      rows.add_all(static_cast<int32_t>(i), &prompts[i * length], length, 0, false);
      if (i + 1 < sequences && static_cast<size_t>(rows.size()) + length <= library_->n_batch(context)) continue;
      run_to_end(context, rows);
      rows = Rows();
    }
    std::ostringstream answer;
    double before = now_ms();
    answer << "prefillMs=" << before - started << " stepMs=";
    for (size_t step = 0; step < followers.size() / sequences; step++) {
      rows = Rows();
      for (size_t i = 0; i < sequences; i++) {
        rows.add(static_cast<int32_t>(i), followers[step * sequences + i], static_cast<int32_t>(length + step), true);
      }
      run_to_end(context, rows);
      const double now = now_ms();
      answer << (step == 0 ? "" : ",") << now - before;
      before = now;
    }
    return answer.str();
  }

  /** Waits for the logits of the last row. */
  void run_to_end(llama::Context* context, Rows& rows) {
    run(context, rows);
    require(library_->logits(context, rows.size() - 1) != nullptr, "there are no logits");
  }

  /** The greedy continuation: its first token comes from the prompt's logits, each later one from a decode. */
  Tokens continued(llama::Context* context, size_t position, int32_t count) {
    Tokens tokens{best(context, -1)};
    while (static_cast<int32_t>(tokens.size()) < count) {
      Rows rows = rows_of({tokens.back()}, static_cast<int32_t>(position + tokens.size() - 1), true);
      run(context, rows);
      tokens.push_back(best(context, -1));
    }
    return tokens;
  }

  Token best(llama::Context* context, int32_t index) {
    const float* row = library_->logits(context, index);
    require(row != nullptr, "there are no logits");
    return static_cast<Token>(std::max_element(row, row + library_->vocabulary_size(vocabulary_)) - row);
  }

  /** Runs the tokens in batches. `use` is called for every token with its index in its batch and in the sequence. */
  void each_output(llama::Context* context, const Tokens& tokens, const std::function<void(int32_t, size_t)>& use) {
    const size_t most = library_->n_batch(context);
    for (size_t from = 0; from < tokens.size(); from += most) {
      const size_t count = std::min(most, tokens.size() - from);
      const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(from);
      Rows rows = rows_of(Tokens(first, first + static_cast<std::ptrdiff_t>(count)), static_cast<int32_t>(from), use != nullptr);
      run(context, rows);
      for (size_t i = 0; use && i < count; i++) use(static_cast<int32_t>(i), from + i);
    }
  }

  void run(llama::Context* context, Rows& rows) {
    first_error.clear();
    require(library_->decode(context, rows.batch()) == 0, "llama.cpp does not compute");
  }

  /** The named context, after removing all that it computed. */
  llama::Context* fresh(const Words& words) {
    const auto found = contexts_.find(words.text("name"));
    require(found != contexts_.end(), "there is no context " + words.text("name"));
    llama::Memory* memory = library_->memory(found->second);
    if (memory != nullptr) library_->clear_memory(memory, false);
    return found->second;
  }

  void close_context(const std::string& name) {
    const auto found = contexts_.find(name);
    if (found == contexts_.end()) return;
    library_->free_context(found->second);
    contexts_.erase(found);
  }

  void release_model() {
    while (!contexts_.empty()) close_context(contexts_.begin()->first);
    if (model_ != nullptr) library_->free_model(model_);
    model_ = nullptr;
  }

  std::string folder_;
  std::unique_ptr<llama::Library> library_;
  llama::Model* model_ = nullptr;
  const llama::Vocabulary* vocabulary_ = nullptr;
  std::map<std::string, llama::Context*> contexts_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: llama-probe FOLDER_OF_LIBRARIES\n";
    return 2;
  }
  Probe probe(argv[1]);
  for (std::string line; std::getline(std::cin, line);) {
    std::string answer;
    try {
      answer = probe.execute(line);
    } catch (const std::exception& error) {
      answer = std::string("error ") + error.what();
    }
    std::cout << '@' << answer << std::endl;
  }
  // Ends without waiting for the libraries' threads and destructors.
  _exit(0);
}
