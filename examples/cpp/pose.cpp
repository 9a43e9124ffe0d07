// Poses in a picture by an exported model, with OpenCV and onnxruntime alone:
//
//   python tools/export.py CONFIG CHECKPOINT --format onnx --nms --out exported
//   build/pose exported/model.onnx photo.jpg drawn.png [0.3]
//
// The model's outputs are final detections (docs/export.md, --nms). model.json beside it says how a picture becomes its
// input, and which keypoints are linked. The last argument is the lowest score that is drawn.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr float kKeypointScore = 0.3f;  // lowest score of a drawn keypoint

struct Description {
  cv::Size size;
  bool centered;
  int pad_value;
  std::vector<std::pair<int, int>> links;
};

// The place of a picture in the canvas: point * scale + pad, for each axis.
struct Letterbox {
  cv::Size resized;
  cv::Point pad;
  cv::Point2f scale;

  cv::Point2f inverse(const float* point) const {
    return {(point[0] - pad.x) / scale.x, (point[1] - pad.y) / scale.y};
  }
};

Description read_description(const std::filesystem::path& path) {
  const cv::FileStorage file(path.string(), cv::FileStorage::READ | cv::FileStorage::FORMAT_JSON);
  if (!file.isOpened()) throw std::runtime_error(path.string() + " cannot be read");
  if (static_cast<std::string>(file["layout"]) != "nms") {
    throw std::runtime_error("the model gives no final detections; export it with --nms");
  }
  const cv::FileNode size = file["size"];  // height, width
  Description description{{static_cast<int>(size[1]), static_cast<int>(size[0])},
                          static_cast<int>(file["centered"]) != 0,
                          static_cast<int>(file["pad_value"]),
                          {}};
  const cv::FileNode links = file["skeleton"].isMap() ? file["skeleton"]["links"] : cv::FileNode();
  for (const auto& link : links) {
    description.links.emplace_back(static_cast<int>(link[0]), static_cast<int>(link[1]));
  }
  return description;
}

Letterbox fit(const cv::Size& picture, const Description& model) {
  const double scale = std::min(static_cast<double>(model.size.width) / picture.width,
                                static_cast<double>(model.size.height) / picture.height);
  const auto side = [scale](int length, int limit) {  // halves go to even numbers, as in Python
    return std::clamp(static_cast<int>(std::nearbyint(length * scale)), 1, limit);
  };
  Letterbox letterbox;
  letterbox.resized = {side(picture.width, model.size.width), side(picture.height, model.size.height)};
  if (model.centered) letterbox.pad = cv::Point(model.size - letterbox.resized) / 2;
  letterbox.scale = {static_cast<float>(letterbox.resized.width) / picture.width,
                     static_cast<float>(letterbox.resized.height) / picture.height};
  return letterbox;
}

// (1, 3, H, W) float, BGR, 0 to 255.
std::vector<float> to_input(const cv::Mat& picture, const Letterbox& letterbox, const Description& model) {
  cv::Mat canvas(model.size, CV_8UC3, cv::Scalar::all(model.pad_value));
  cv::Mat inside = canvas(cv::Rect(letterbox.pad, letterbox.resized));
  cv::resize(picture, inside, letterbox.resized, 0, 0, cv::INTER_LINEAR);
  std::vector<float> input(3 * canvas.total());
  std::vector<cv::Mat> planes;
  for (int channel = 0; channel < 3; ++channel) {
    planes.emplace_back(model.size, CV_32F, input.data() + channel * canvas.total());
  }
  cv::Mat values;
  canvas.convertTo(values, CV_32F);
  cv::split(values, planes);  // into the planes, which have the right size already
  return input;
}

std::map<std::string, Ort::Value> run(Ort::Session& session, std::vector<float>& input, const cv::Size& size) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const std::array<int64_t, 4> shape{1, 3, size.height, size.width};
  const Ort::Value images =
      Ort::Value::CreateTensor<float>(memory, input.data(), input.size(), shape.data(), shape.size());
  Ort::AllocatorWithDefaultOptions allocator;
  std::vector<std::string> names;
  std::vector<const char*> pointers;
  for (size_t i = 0; i < session.GetOutputCount(); ++i) {
    names.emplace_back(session.GetOutputNameAllocated(i, allocator).get());
  }
  for (const std::string& name : names) pointers.push_back(name.c_str());
  const char* input_name = "images";
  auto values = session.Run(Ort::RunOptions{nullptr}, &input_name, &images, 1, pointers.data(), pointers.size());
  std::map<std::string, Ort::Value> outputs;
  for (size_t i = 0; i < names.size(); ++i) outputs.emplace(names[i], std::move(values[i]));
  return outputs;
}

void draw_pose(cv::Mat& picture, const float* points, const float* scores, const Letterbox& letterbox,
               int num_keypoints, const Description& model) {
  for (const auto& [from, to] : model.links) {
    if (std::min(scores[from], scores[to]) < kKeypointScore) continue;
    cv::line(picture, letterbox.inverse(points + 2 * from), letterbox.inverse(points + 2 * to), {0, 200, 0}, 2,
             cv::LINE_AA);
  }
  for (int k = 0; k < num_keypoints; ++k) {
    if (scores[k] < kKeypointScore) continue;
    cv::circle(picture, letterbox.inverse(points + 2 * k), 3, {0, 0, 255}, cv::FILLED, cv::LINE_AA);
  }
}

int draw(cv::Mat& picture, std::map<std::string, Ort::Value>& outputs, const Letterbox& letterbox,
         const Description& model, float lowest) {
  const auto shape = outputs.at("boxes").GetTensorTypeAndShapeInfo().GetShape();
  const float* boxes = outputs.at("boxes").GetTensorData<float>();
  const float* scores = outputs.at("scores").GetTensorData<float>();
  const bool posed = outputs.count("keypoints") > 0;
  const int num_keypoints =
      posed ? static_cast<int>(outputs.at("keypoints").GetTensorTypeAndShapeInfo().GetShape()[1]) : 0;
  int found = 0;
  for (int64_t i = 0; i < shape[0]; ++i) {  // best first
    if (scores[i] <= lowest) continue;
    const cv::Rect2f box(letterbox.inverse(boxes + 4 * i), letterbox.inverse(boxes + 4 * i + 2));
    cv::rectangle(picture, cv::Rect(box), {255, 160, 0}, 2);
    std::printf("%.3f  %.1f %.1f %.1f %.1f\n", scores[i], box.x, box.y, box.x + box.width, box.y + box.height);
    if (posed) {
      draw_pose(picture, outputs.at("keypoints").GetTensorData<float>() + 2 * num_keypoints * i,
                outputs.at("keypoint_scores").GetTensorData<float>() + num_keypoints * i, letterbox, num_keypoints,
                model);
    }
    ++found;
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: pose model.onnx picture out.png [lowest score, default 0.3]\n");
    return 2;
  }
  try {
    const std::filesystem::path path(argv[1]);
    const Description model = read_description(path.parent_path() / "model.json");
    cv::Mat picture = cv::imread(argv[2], cv::IMREAD_COLOR);
    if (picture.empty()) throw std::runtime_error(std::string(argv[2]) + " cannot be read");
    const Letterbox letterbox = fit(picture.size(), model);
    std::vector<float> input = to_input(picture, letterbox, model);
    Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "pose");
    Ort::Session session(env, path.c_str(), Ort::SessionOptions{});
    auto outputs = run(session, input, model.size);
    const int found = draw(picture, outputs, letterbox, model, argc > 4 ? std::strtof(argv[4], nullptr) : 0.3f);
    if (!cv::imwrite(argv[3], picture)) throw std::runtime_error(std::string(argv[3]) + " cannot be written");
    std::printf("%d found, drawn into %s\n", found, argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
