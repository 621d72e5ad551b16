// libjpeg leaves by longjmp when something is wrong. The functions that it may leave from therefore
// hold nothing that has a destructor; see `Decoder`.
#include "framework/io/jpeg.h"

#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it
#include <cstring>

#include "framework/core/check.h"
#include "framework/io/exif.h"

namespace ddpm {
namespace {

constexpr int kExifMarker = JPEG_APP0 + 1;
constexpr int kMaxScans = 1000;  // a progressive image has ten; each costs a pass over all of it

struct Decoder {
  jpeg_decompress_struct info = {};
  jpeg_error_mgr errors = {};
  jpeg_progress_mgr progress = {};
  jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = "";

  Decoder() {
    info.err = jpeg_std_error(&errors);
    info.client_data = this;
    errors.error_exit = on_error;
    errors.emit_message = on_message;
    progress.progress_monitor = on_progress;
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // Both return false with a message when libjpeg gives up.
  bool read_header(std::span<const std::byte> bytes) {
    if (setjmp(jump)) return false;
    jpeg_create_decompress(&info);
    info.progress = &progress;
    jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    jpeg_save_markers(&info, kExifMarker, 0xffff);
    jpeg_read_header(&info, TRUE);
    return true;
  }
  bool read_pixels(uint8_t* out, int64_t row_bytes) {
    if (setjmp(jump)) return false;
    info.out_color_space = info.jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = out + info.output_scanline * row_bytes;
      jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
    return true;
  }

  int orientation() const {
    constexpr char kPrefix[6] = {'E', 'x', 'i', 'f', 0, 0};
    for (jpeg_saved_marker_ptr m = info.marker_list; m; m = m->next)
      if (m->marker == kExifMarker && m->data_length > sizeof kPrefix &&
          std::memcmp(m->data, kPrefix, sizeof kPrefix) == 0)
        return exif_orientation(
            std::as_bytes(std::span(m->data, m->data_length)).subspan(sizeof kPrefix));
    return 1;
  }

 private:
  static Decoder& decoder_of(j_common_ptr info) {
    return *static_cast<Decoder*>(info->client_data);
  }

  static void on_error(j_common_ptr info) {
    info->err->format_message(info, decoder_of(info).message);
    std::longjmp(decoder_of(info).jump, 1);
  }
  // Warnings have negative levels. Those about headers, and about bytes between markers that other
  // programs leave there, concern no pixel.
  static void on_message(j_common_ptr info, int level) {
    const int code = info->err->msg_code;
    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_JFIF_MAJOR &&
        code != JWRN_ADOBE_XFORM)
      on_error(info);
  }
  static void on_progress(j_common_ptr info) {
    Decoder& decoder = decoder_of(info);
    if (decoder.info.input_scan_number <= kMaxScans) return;
    std::snprintf(decoder.message, sizeof decoder.message, "more than %d scans", kMaxScans);
    std::longjmp(decoder.jump, 1);
  }
};

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name, int64_t max_bytes) {
  Decoder decoder;
  DDPM_CHECK(decoder.read_header(bytes), "'{}' is not a JPEG image: {}", name, decoder.message);
  const J_COLOR_SPACE colours = decoder.info.jpeg_color_space;
  DDPM_CHECK(colours == JCS_GRAYSCALE || colours == JCS_RGB || colours == JCS_YCbCr,
             "'{}' has {} colour components (CMYK?); only grey and RGB are read, convert it to RGB",
             name, decoder.info.num_components);
  // libjpeg bounds both extents by 65,500.
  Image image{
      {decoder.info.image_height, decoder.info.image_width, colours == JCS_GRAYSCALE ? 1 : 3}, {}};
  DDPM_CHECK(image.shape.numel() <= max_bytes, "'{}' of shape {} is too large: {} bytes allowed",
             name, image.shape, max_bytes);
  const int orientation = decoder.orientation();  // libjpeg drops markers at the end of the image
  image.pixels.resize(static_cast<size_t>(image.shape.numel()));
  DDPM_CHECK(decoder.read_pixels(image.pixels.data(), image.shape[1] * image.shape[2]),
             "'{}' is damaged: {}", name, decoder.message);
  return upright(std::move(image), orientation);
}

}  // namespace ddpm
