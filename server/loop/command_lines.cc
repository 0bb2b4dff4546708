#include "server/loop/command_lines.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace baton {
namespace {

// So many bytes take about as long as handling one message.
constexpr size_t kBytesPerUnit = 2'048;
// What a line keeps room for; a frame of thousands of commands comes now and then.
constexpr size_t kKeptPostsMax = 64;

size_t UnitsOf(const CommandCost& cost) { return cost.steps + cost.bytes / kBytesPerUnit; }

// None: of a call.
SessionId SessionOf(const Command& command) {
  return std::visit(
      [](const auto& value) {
        if constexpr (requires { value.session; }) return value.session;
        return SessionId();
      },
      command);
}

// The next `tags` of them, which are fewer than all, from range `at` on; moves on `at`.
SettleTags CutOff(SettleTags& settle, size_t& at, size_t tags) {
  SettleTags part{.session = settle.session, .settlement = settle.settlement, .tags = {}, .goes_on = true};
  while (tags > 0) {
    TagRange& range = settle.tags[at];
    const uint64_t count = range.last - range.first + 1;
    if (count > tags) {
      part.tags.push_back({.first = range.first, .last = range.first + tags - 1});
      range.first += tags;
      break;
    }
    part.tags.push_back(range);
    tags -= static_cast<size_t>(count);
    ++at;
  }
  return part;
}

}  // namespace

CommandCost CostOf(const Command& command) {
  CommandCost cost{.bytes = sizeof(Post), .steps = 1};
  if (const auto* publish = std::get_if<Publish>(&command)) {
    cost.steps += publish->messages.size();
    cost.bytes += publish->messages.size() * sizeof(NewMessage);
    for (const NewMessage& message : publish->messages)
      cost.bytes += message.headers.size() + message.body.size();
  } else if (const auto* settle = std::get_if<SettleTags>(&command)) {
    cost.bytes += settle->tags.size() * sizeof(TagRange);
    for (const TagRange& range : settle->tags)
      cost.steps += static_cast<size_t>(range.last - range.first + 1);
  } else if (const auto* tokens = std::get_if<SettleTokens>(&command)) {
    cost.bytes += tokens->tokens.size() * sizeof(LeaseToken);
    cost.steps += tokens->tokens.size();
  }
  return cost;
}

Growth GrowthOf(const Command& command) {
  const bool shrinks =
      std::holds_alternative<SettleTags>(command) || std::holds_alternative<SettleTokens>(command) ||
      std::holds_alternative<SetCredit>(command) || std::holds_alternative<ResumeDeliveries>(command) ||
      std::holds_alternative<Unsubscribe>(command) || std::holds_alternative<CloseSession>(command) ||
      std::holds_alternative<CancelCall>(command);
  return shrinks ? Growth::kShrinks : Growth::kGrows;
}

void CommandLines::Add(Post post, Growth growth) {
  const LineKey key = KeyOf(post);
  std::unique_ptr<Line>& line = lines_[key];
  if (line == nullptr) {
    line = std::make_unique<Line>();
    line->key = key;
  }
  if (line->empty()) ready_.push_back(line.get());
  line->ForgetTaken();
  const CommandCost cost = CostOf(post.command);
  line->waiting.push_back({.post = std::move(post), .cost = cost, .growth = growth});
  for (Load* load : {&line->load[static_cast<size_t>(growth)], &total_[static_cast<size_t>(growth)]}) {
    ++load->commands;
    load->bytes += cost.bytes;
  }
}

CommandLines::LineKey CommandLines::KeyOf(const Post& post) {
  return {.session = SessionOf(post.command), .client = post.client};
}

CommandLines::Load CommandLines::OfLine(const Post& post, Growth growth) const {
  const auto line = lines_.find(KeyOf(post));
  return line == lines_.end() ? Load() : line->second->load[static_cast<size_t>(growth)];
}

void CommandLines::Take(CommandCost share, std::vector<Post>& posts) {
  CommandCost spent;
  while (!ready_.empty() && spent.steps < share.steps && spent.bytes < share.bytes) {
    Line& line = *ready_.front();
    if (!std::exchange(line.has_turn, true)) line.deficit += kQuantum;
    const bool goes_on = TakeOne(line, spent, posts) && !line.empty();
    if (goes_on) continue;
    line.has_turn = false;
    ready_.pop_front();
    if (line.empty()) {
      Leave(line);
    } else {
      ready_.push_back(&line);
    }
  }
}

bool CommandLines::TakeOne(Line& line, CommandCost& spent, std::vector<Post>& posts) {
  Waiting& waiting = line.waiting[line.next];
  const size_t units = UnitsOf(waiting.cost);
  if (units > line.deficit) {
    const bool is_long = waiting.cost.steps > line.deficit && line.deficit > 0;
    if (is_long && std::holds_alternative<SettleTags>(waiting.post.command))
      TakePart(line, waiting, spent, posts);
    return false;
  }
  line.deficit -= units;
  spent.steps += waiting.cost.steps;
  spent.bytes += waiting.cost.bytes;
  NoteTaken(line, waiting);
  if (waiting.cut > 0) {
    auto& tags = std::get<SettleTags>(waiting.post.command).tags;
    tags.erase(tags.begin(), tags.begin() + static_cast<std::ptrdiff_t>(waiting.cut));
  }
  posts.push_back(std::move(waiting.post));
  ++line.next;
  return true;
}

// `steps` counts the command itself, too: so what is left is at least one tag.
void CommandLines::TakePart(Line& line, Waiting& waiting, CommandCost& spent, std::vector<Post>& posts) {
  auto& settle = std::get<SettleTags>(waiting.post.command);
  const size_t tags = std::min(line.deficit, waiting.cost.steps - 2);
  if (tags == 0) return;
  posts.push_back({.command = CutOff(settle, waiting.cut, tags)});
  line.deficit -= tags;
  spent.steps += tags;
  waiting.cost.steps -= tags;
}

void CommandLines::NoteTaken(Line& line, const Waiting& taken) {
  const auto growth = static_cast<size_t>(taken.growth);
  for (Load* load : {&line.load[growth], &total_[growth]}) {
    --load->commands;
    load->bytes -= taken.cost.bytes;
  }
}

// A line that is never empty must not keep all that went through it.
void CommandLines::Line::ForgetTaken() {
  if (next < kKeptPostsMax || next < waiting.size() / 2) return;
  waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(next));
  next = 0;
}

// Nothing of it waits any more.
void CommandLines::Leave(Line& line) {
  line.deficit = 0;
  // A client may have gone; nobody says so.
  const bool over = line.key.client || std::holds_alternative<CloseSession>(line.waiting.back().post.command);
  if (over) {
    lines_.erase(LineKey(line.key));
    return;
  }
  line.waiting.clear();
  line.next = 0;
  if (line.waiting.capacity() > kKeptPostsMax) std::vector<Waiting>().swap(line.waiting);
}

}  // namespace baton
