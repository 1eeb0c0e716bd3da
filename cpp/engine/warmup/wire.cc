// SPDX-License-Identifier: Apache-2.0
#include "engine/warmup/wire.h"

#include <cstdint>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"
#include "savedmodel/error.h"

namespace savedmodel::engine::warmup {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

constexpr int kEightBytes = 8;
constexpr int kFourBytes = 4;

}  // namespace

std::vector<Field> ReadFields(std::string_view message) {
  std::vector<Field> fields;
  const auto size = static_cast<int>(message.size());
  CodedInputStream input(reinterpret_cast<const std::uint8_t*>(message.data()), size);
  while (input.CurrentPosition() < size) {
    const std::uint32_t tag = input.ReadTag();
    bool whole = tag != 0;
    std::uint64_t number = 0;
    int length = 0;
    switch (WireFormatLite::GetTagWireType(tag)) {
      case WireFormatLite::WIRETYPE_VARINT:
        whole = whole && input.ReadVarint64(&number);
        break;
      case WireFormatLite::WIRETYPE_FIXED64:
        whole = input.Skip(kEightBytes);
        break;
      case WireFormatLite::WIRETYPE_FIXED32:
        whole = input.Skip(kFourBytes);
        break;
      case WireFormatLite::WIRETYPE_LENGTH_DELIMITED:
        whole = input.ReadVarintSizeAsInt(&length) && length <= size - input.CurrentPosition();
        if (whole) {
          const auto begin = static_cast<std::size_t>(input.CurrentPosition());
          fields.push_back({WireFormatLite::GetTagFieldNumber(tag),
                            message.substr(begin, static_cast<std::size_t>(length))});
          input.Skip(length);
        }
        break;
      default:
        throw Error(Code::kDataLoss, "a protocol buffer has a field of the unknown wire type " +
                                         std::to_string(WireFormatLite::GetTagWireType(tag)));
    }
    if (!whole) throw Error(Code::kDataLoss, "a protocol buffer ends in the middle of a field");
  }
  return fields;
}

std::vector<std::string_view> AllOf(std::string_view message, int number) {
  std::vector<std::string_view> found;
  for (const Field& field : ReadFields(message)) {
    if (field.number == number) found.push_back(field.bytes);
  }
  return found;
}

std::string_view LastOf(std::string_view message, int number) {
  const std::vector<std::string_view> found = AllOf(message, number);
  return found.empty() ? std::string_view() : found.back();
}

void AppendField(int number, std::string_view bytes, std::string* message) {
  google::protobuf::io::StringOutputStream stream(message);  // appends to the message
  CodedOutputStream output(&stream);
  output.WriteTag(WireFormatLite::MakeTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
  output.WriteVarint64(bytes.size());
  output.WriteRaw(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace savedmodel::engine::warmup
