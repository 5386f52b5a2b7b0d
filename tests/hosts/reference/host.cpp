// A small OpenFX host on the ASWF's HostSupport library: it loads a plugin, sets parameters and keyframes, feeds clips
// from raw frames and writes what is rendered, as a job file says. The program `ofx-reference-host` builds it.
//
// A job is lines of `word rest`:
//   bundles DIR            where *.ofx.bundle lies
//   plugin ID              context CONTEXT            depth byte|float
//   clip NAME PATTERN A B  frames A..B of a clip; PATTERN is printf's, e.g. src_%04d.raw
//   set NAME VALUE         a parameter's value (choices by index)
//   key NAME TIME VALUE    a keyframe of a double parameter, linear between keys
//   press NAME             a push button, after the instance was created
//   render A B PATTERN     renders frames A..B into files
// A raw frame: two 32-bit little-endian sizes, then RGBA rows from bottom to top, bytes or floats as `depth` says.
//
// Messages of the plugin go to stderr. Exit code 1 with a line on stderr where anything fails.

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "ofxCore.h"
#include "ofxImageEffect.h"
#include "ofxhBinary.h"
#include "ofxhPropertySuite.h"
#include "ofxhClip.h"
#include "ofxhParam.h"
#include "ofxhMemory.h"
#include "ofxhImageEffect.h"
#include "ofxhPluginAPICache.h"
#include "ofxhPluginCache.h"
#include "ofxhHost.h"
#include "ofxhImageEffectAPI.h"

namespace ie = OFX::Host::ImageEffect;
namespace pa = OFX::Host::Param;

[[noreturn]] static void die(const std::string &text) {
  std::cerr << "reference host: " << text << std::endl;
  std::exit(1);
}

struct ClipJob {
  std::string pattern;
  int first = 0, last = 0;
};

struct Job {
  std::string bundles, plugin, context = kOfxImageEffectContextGeneral, depth = "byte", out;
  std::map<std::string, ClipJob> clips;
  std::map<std::string, std::string> values;
  std::map<std::string, std::map<double, double>> keys;
  std::vector<std::string> presses;
  int first = 0, last = -1;
  bool is_float() const { return depth == "float"; }
  size_t pixel() const { return is_float() ? 16 : 4; }
};

static Job job;

struct Raw {
  uint32_t width = 0, height = 0;
  std::vector<char> data;
};

static std::string numbered(const std::string &pattern, int n) {
  std::vector<char> text(pattern.size() + 32);
  std::snprintf(text.data(), text.size(), pattern.c_str(), n);
  return text.data();
}

static Raw load(const std::string &file) {
  std::ifstream in(file, std::ios::binary);
  Raw raw;
  in.read(reinterpret_cast<char *>(&raw.width), 4);
  in.read(reinterpret_cast<char *>(&raw.height), 4);
  if (!in || raw.width == 0 || raw.height == 0 || raw.width > 16384 || raw.height > 16384) die("cannot read " + file);
  raw.data.resize(size_t(raw.width) * raw.height * job.pixel());
  in.read(raw.data.data(), std::streamsize(raw.data.size()));
  if (!in) die(file + " is cut off");
  return raw;
}

static void save(const std::string &file, const Raw &raw) {
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char *>(&raw.width), 4);
  out.write(reinterpret_cast<const char *>(&raw.height), 4);
  out.write(raw.data.data(), std::streamsize(raw.data.size()));
  if (!out) die("cannot write " + file);
}

// The frame that a clip shows at a time; its ends are held.
static Raw frame_of(const ClipJob &clip, double time) {
  int n = int(time < clip.first ? clip.first : time > clip.last ? clip.last : time);
  return load(numbered(clip.pattern, n));
}

struct Picture : ie::Image {
  Raw raw;
  Picture(ie::ClipInstance &clip, Raw from) : ie::Image(clip), raw(std::move(from)) {
    OfxRectI bounds = {0, 0, int(raw.width), int(raw.height)};
    setDoubleProperty(kOfxImageEffectPropRenderScale, 1.0, 0);
    setDoubleProperty(kOfxImageEffectPropRenderScale, 1.0, 1);
    setPointerProperty(kOfxImagePropData, raw.data.data());
    const char *rects[] = {kOfxImagePropBounds, kOfxImagePropRegionOfDefinition};
    for (const char *name : rects) {
      setIntProperty(name, bounds.x1, 0);
      setIntProperty(name, bounds.y1, 1);
      setIntProperty(name, bounds.x2, 2);
      setIntProperty(name, bounds.y2, 3);
    }
    setIntProperty(kOfxImagePropRowBytes, int(raw.width * job.pixel()));
  }
};

// Size of the project: that of the source's first frame.
static void project(double &width, double &height) {
  auto clip = job.clips.find(kOfxImageEffectSimpleSourceClipName);
  if (clip == job.clips.end()) die("the job has no clip Source");
  static Raw raw = load(numbered(clip->second.pattern, clip->second.first));
  width = raw.width;
  height = raw.height;
}

struct JobClip : ie::ClipInstance {
  std::string name;
  Picture *output = nullptr;

  JobClip(ie::Instance *effect, ie::ClipDescriptor *desc) : ie::ClipInstance(effect, *desc), name(desc->getName()) {}
  ~JobClip() override { drop(); }
  void drop() {
    if (output) output->releaseReference();
    output = nullptr;
  }
  const ClipJob *source() const {
    auto clip = job.clips.find(name);
    return clip == job.clips.end() ? nullptr : &clip->second;
  }
  bool is_output() const { return name == kOfxImageEffectOutputClipName; }
  const std::string &getUnmappedBitDepth() const override {
    static const std::string byte(kOfxBitDepthByte), real(kOfxBitDepthFloat), none(kOfxBitDepthNone);
    return !getConnected() ? none : job.is_float() ? real : byte;
  }
  const std::string &getUnmappedComponents() const override {
    static const std::string rgba(kOfxImageComponentRGBA), none(kOfxImageComponentNone);
    return getConnected() ? rgba : none;
  }
  const std::string &getPremult() const override {
    static const std::string v(kOfxImageUnPreMultiplied);
    return v;
  }
  double getAspectRatio() const override { return 1.0; }
  double getFrameRate() const override { return 25.0; }
  void getFrameRange(double &first, double &last) const override {
    const ClipJob *clip = source();
    first = clip ? clip->first : job.first;
    last = clip ? clip->last : job.last;
  }
  const std::string &getFieldOrder() const override {
    static const std::string v(kOfxImageFieldNone);
    return v;
  }
  bool getConnected() const override { return is_output() || source() != nullptr; }
  double getUnmappedFrameRate() const override { return 25.0; }
  void getUnmappedFrameRange(double &first, double &last) const override { getFrameRange(first, last); }
  bool getContinuousSamples() const override { return false; }
  ie::Image *getImage(OfxTime time, const OfxRectD *) override {
    if (!is_output()) {
      const ClipJob *clip = source();
      return clip ? new Picture(*this, frame_of(*clip, time)) : nullptr;
    }
    if (!output) {
      double width, height;
      project(width, height);
      Raw empty;
      empty.width = uint32_t(width);
      empty.height = uint32_t(height);
      empty.data.resize(size_t(empty.width) * empty.height * job.pixel());
      output = new Picture(*this, empty);
    }
    output->addReference();
    return output;
  }
  OfxRectD getRegionOfDefinition(OfxTime time) const override {
    OfxRectD rect = {0, 0, 0, 0};
    if (const ClipJob *clip = source()) {
      Raw raw = frame_of(*clip, time);
      rect.x2 = raw.width;
      rect.y2 = raw.height;
    } else {
      project(rect.x2, rect.y2);
    }
    return rect;
  }
};

static OfxStatus say(const char *type, const char *format, va_list args) {
  std::fprintf(stderr, "%s: ", type);
  std::vfprintf(stderr, format, args);
  std::fprintf(stderr, "\n");
  return std::strcmp(type, kOfxMessageQuestion) == 0 ? kOfxStatReplyYes : kOfxStatOK;
}

// A parameter's value as text, read by type.
static bool given(const std::string &name, std::string &text) {
  auto v = job.values.find(name);
  if (v == job.values.end()) return false;
  text = v->second;
  return true;
}

struct DoubleParam : pa::DoubleInstance {
  double value;
  std::map<double, double> keys;
  DoubleParam(pa::Descriptor &d, pa::SetInstance *set) : pa::DoubleInstance(d, set) {
    value = d.getProperties().getDoubleProperty(kOfxParamPropDefault);
    std::string text;
    if (given(d.getName(), text)) value = std::atof(text.c_str());
    auto k = job.keys.find(d.getName());
    if (k != job.keys.end()) keys = k->second;
  }
  double at(double time) const {
    if (keys.empty()) return value;
    auto next = keys.upper_bound(time);
    if (next == keys.begin()) return next->second;
    auto before = std::prev(next);
    if (next == keys.end()) return before->second;
    double t = (time - before->first) / (next->first - before->first);
    return before->second + t * (next->second - before->second);
  }
  OfxStatus get(double &v) override { v = at(0); return kOfxStatOK; }
  OfxStatus get(OfxTime time, double &v) override { v = at(time); return kOfxStatOK; }
  OfxStatus set(double v) override { value = v; keys.clear(); return kOfxStatOK; }
  OfxStatus set(OfxTime time, double v) override { keys[time] = v; return kOfxStatOK; }
  OfxStatus derive(OfxTime, double &) override { return kOfxStatErrUnsupported; }
  OfxStatus integrate(OfxTime, OfxTime, double &) override { return kOfxStatErrUnsupported; }
  OfxStatus getNumKeys(unsigned int &n) const override { n = unsigned(keys.size()); return kOfxStatOK; }
  OfxStatus getKeyTime(int nth, OfxTime &time) const override {
    if (nth < 0 || size_t(nth) >= keys.size()) return kOfxStatErrBadIndex;
    time = std::next(keys.begin(), nth)->first;
    return kOfxStatOK;
  }
  OfxStatus deleteKey(OfxTime time) override { return keys.erase(time) ? kOfxStatOK : kOfxStatErrBadIndex; }
  OfxStatus deleteAllKeys() override { keys.clear(); return kOfxStatOK; }
};

template <class Base> struct IntLike : Base {
  int value;
  IntLike(pa::Descriptor &d, pa::SetInstance *set) : Base(d, set) {
    value = d.getProperties().getIntProperty(kOfxParamPropDefault);
    std::string text;
    if (given(d.getName(), text)) value = std::atoi(text.c_str());
  }
  OfxStatus get(int &v) override { v = value; return kOfxStatOK; }
  OfxStatus get(OfxTime, int &v) override { v = value; return kOfxStatOK; }
  OfxStatus set(int v) override { value = v; return kOfxStatOK; }
  OfxStatus set(OfxTime, int v) override { value = v; return kOfxStatOK; }
};

struct BoolParam : pa::BooleanInstance {
  bool value;
  BoolParam(pa::Descriptor &d, pa::SetInstance *set) : pa::BooleanInstance(d, set) {
    value = d.getProperties().getIntProperty(kOfxParamPropDefault) != 0;
    std::string text;
    if (given(d.getName(), text)) value = text == "true" || text == "1";
  }
  OfxStatus get(bool &v) override { v = value; return kOfxStatOK; }
  OfxStatus get(OfxTime, bool &v) override { v = value; return kOfxStatOK; }
  OfxStatus set(bool v) override { value = v; return kOfxStatOK; }
  OfxStatus set(OfxTime, bool v) override { value = v; return kOfxStatOK; }
};

struct StringParam : pa::StringInstance {
  std::string value;
  StringParam(pa::Descriptor &d, pa::SetInstance *set) : pa::StringInstance(d, set) {
    value = d.getProperties().getStringProperty(kOfxParamPropDefault);
    given(d.getName(), value);
  }
  OfxStatus get(std::string &v) override { v = value; return kOfxStatOK; }
  OfxStatus get(OfxTime, std::string &v) override { v = value; return kOfxStatOK; }
  OfxStatus set(const char *v) override { value = v ? v : ""; return kOfxStatOK; }
  OfxStatus set(OfxTime, const char *v) override { return set(v); }
};

struct JobEffect : ie::Instance {
  JobEffect(ie::ImageEffectPlugin *plugin, ie::Descriptor &desc, const std::string &context)
      : ie::Instance(plugin, desc, context, false) {}
  ie::ClipInstance *newClipInstance(ie::Instance *, ie::ClipDescriptor *desc, int) override {
    return new JobClip(this, desc);
  }
  const std::string &getDefaultOutputFielding() const override {
    static const std::string v(kOfxImageFieldNone);
    return v;
  }
  OfxStatus vmessage(const char *type, const char *, const char *format, va_list args) override {
    return say(type, format, args);
  }
  OfxStatus setPersistentMessage(const char *type, const char *, const char *format, va_list args) override {
    return say(type, format, args);
  }
  OfxStatus clearPersistentMessage() override { return kOfxStatOK; }
  void getProjectSize(double &x, double &y) const override { project(x, y); }
  void getProjectOffset(double &x, double &y) const override { x = y = 0; }
  void getProjectExtent(double &x, double &y) const override { project(x, y); }
  double getProjectPixelAspectRatio() const override { return 1.0; }
  double getEffectDuration() const override { return job.last - job.first + 1; }
  double getFrameRate() const override { return 25.0; }
  double getFrameRecursive() const override { return job.first; }
  void getRenderScaleRecursive(double &x, double &y) const override { x = y = 1.0; }
  pa::Instance *newParam(const std::string &, pa::Descriptor &d) override {
    const std::string &type = d.getType();
    if (type == kOfxParamTypeDouble) return new DoubleParam(d, this);
    if (type == kOfxParamTypeInteger) return new IntLike<pa::IntegerInstance>(d, this);
    if (type == kOfxParamTypeChoice) return new IntLike<pa::ChoiceInstance>(d, this);
    if (type == kOfxParamTypeBoolean) return new BoolParam(d, this);
    if (type == kOfxParamTypeString) return new StringParam(d, this);
    if (type == kOfxParamTypePushButton) return new pa::PushbuttonInstance(d, this);
    if (type == kOfxParamTypeGroup) return new pa::GroupInstance(d, this);
    if (type == kOfxParamTypePage) return new pa::PageInstance(d, this);
    die("the parameter " + d.getName() + " has the type " + type + ", which this host does not know");
  }
  OfxStatus editBegin(const std::string &) override { return kOfxStatOK; }
  OfxStatus editEnd() override { return kOfxStatOK; }
  void progressStart(const std::string &, const std::string &) override {}
  void progressEnd() override {}
  bool progressUpdate(double) override { return true; }
  double timeLineGetTime() override { return job.first; }
  void timeLineGotoTime(double) override {}
  void timeLineGetBounds(double &a, double &b) override {
    a = job.first;
    b = job.last;
  }
};

struct JobHost : ie::Host {
  JobHost() {
    _properties.setIntProperty(kOfxPropAPIVersion, 1, 0);
    _properties.setIntProperty(kOfxPropAPIVersion, 4, 1);
    _properties.setStringProperty(kOfxPropName, "org.headgan.ReferenceHost");
    _properties.setStringProperty(kOfxPropLabel, "HeadGAN's reference host");
    _properties.setIntProperty(kOfxPropVersion, 1, 0);
    _properties.setStringProperty(kOfxPropVersionLabel, "1");
    _properties.setIntProperty(kOfxImageEffectHostPropIsBackground, 1);
    _properties.setIntProperty(kOfxImageEffectPropSupportsMultiResolution, 1);
    _properties.setIntProperty(kOfxImageEffectPropSupportsTiles, 1);
    _properties.setIntProperty(kOfxImageEffectPropTemporalClipAccess, 1);
    _properties.setStringProperty(kOfxImageEffectPropSupportedComponents, kOfxImageComponentRGBA, 0);
    _properties.setStringProperty(kOfxImageEffectPropSupportedContexts, kOfxImageEffectContextFilter, 0);
    _properties.setStringProperty(kOfxImageEffectPropSupportedContexts, kOfxImageEffectContextGeneral, 1);
    _properties.setIntProperty(kOfxParamHostPropMaxParameters, -1);
  }
  ie::Instance *newInstance(void *, ie::ImageEffectPlugin *plugin, ie::Descriptor &desc,
                            const std::string &context) override {
    return new JobEffect(plugin, desc, context);
  }
  ie::Descriptor *makeDescriptor(ie::ImageEffectPlugin *plugin) override { return new ie::Descriptor(plugin); }
  ie::Descriptor *makeDescriptor(const ie::Descriptor &root, ie::ImageEffectPlugin *plugin) override {
    return new ie::Descriptor(root, plugin);
  }
  ie::Descriptor *makeDescriptor(const std::string &bundle, ie::ImageEffectPlugin *plugin) override {
    return new ie::Descriptor(bundle, plugin);
  }
  OfxStatus vmessage(const char *type, const char *, const char *format, va_list args) override {
    return say(type, format, args);
  }
  OfxStatus setPersistentMessage(const char *type, const char *, const char *format, va_list args) override {
    return say(type, format, args);
  }
  OfxStatus clearPersistentMessage() override { return kOfxStatOK; }
};

static void read_job(const char *file) {
  std::ifstream in(file);
  if (!in) die(std::string("cannot read the job ") + file);
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string word, name;
    if (!(words >> word)) continue;
    auto rest = [&] {
      std::string text;
      std::getline(words >> std::ws, text);
      return text;
    };
    if (word == "bundles") job.bundles = rest();
    else if (word == "plugin") job.plugin = rest();
    else if (word == "context") job.context = rest();
    else if (word == "depth") job.depth = rest();
    else if (word == "press") job.presses.push_back(rest());
    else if (word == "set") {
      words >> name;
      job.values[name] = rest();
    } else if (word == "key") {
      double time, value;
      if (!(words >> name >> time >> value)) die("wrong key: " + line);
      job.keys[name][time] = value;
    } else if (word == "clip") {
      ClipJob clip;
      if (!(words >> name >> clip.pattern >> clip.first >> clip.last)) die("wrong clip: " + line);
      job.clips[name] = clip;
    } else if (word == "render") {
      if (!(words >> job.first >> job.last >> job.out)) die("wrong render: " + line);
    } else die("unknown word in the job: " + line);
  }
}

static void expect(OfxStatus status, const std::string &what) {
  if (status != kOfxStatOK && status != kOfxStatReplyDefault)
    die(what + " failed with status " + std::to_string(status));
}

int main(int argc, char **argv) {
  if (argc != 2) die("usage: reference-host JOB");
  read_job(argv[1]);
  JobHost host;
  ie::PluginCache effects(host);
  OFX::Host::PluginCache *cache = OFX::Host::PluginCache::getPluginCache();
  cache->setCacheVersion("1");
  cache->prependFileToPath(job.bundles);
  effects.registerInCache(*cache);
  cache->scanPluginFiles();
  ie::ImageEffectPlugin *plugin = effects.getPluginById(job.plugin);
  if (!plugin) die("there is no plugin " + job.plugin + " in " + job.bundles);
  std::unique_ptr<ie::Instance> instance(plugin->createInstance(job.context, nullptr));
  if (!instance) die("the plugin makes no instance in the context " + job.context);
  for (const auto &v : job.values)
    if (!instance->getParam(v.first)) die("the plugin has no parameter " + v.first);
  for (const auto &k : job.keys)
    if (!instance->getParam(k.first)) die("the plugin has no parameter " + k.first);
  expect(instance->createInstanceAction(), "createInstance");
  if (!instance->getClipPreferences()) die("getClipPreferences failed");
  OfxPointD scale = {1.0, 1.0};
  for (const std::string &button : job.presses) {
    expect(instance->beginInstanceChangedAction(kOfxChangeUserEdited), "beginInstanceChanged");
    expect(instance->paramInstanceChangedAction(button, kOfxChangeUserEdited, job.first, scale), "pressing " + button);
    expect(instance->endInstanceChangedAction(kOfxChangeUserEdited), "endInstanceChanged");
  }
  double width, height;
  project(width, height);
  OfxRectI window = {0, 0, int(width), int(height)};
  OfxRectD region = {0, 0, width, height};
  JobClip *output = dynamic_cast<JobClip *>(instance->getClip(kOfxImageEffectOutputClipName));
  if (!output) die("the plugin has no output clip");
  expect(instance->beginRenderAction(job.first, job.last, 1.0, false, scale, true, false), "beginSequenceRender");
  for (int n = job.first; n <= job.last; ++n) {
    std::map<ie::ClipInstance *, OfxRectD> regions;
    expect(instance->getRegionOfInterestAction(n, scale, region, regions), "getRegionsOfInterest");
    ie::RangeMap frames;
    expect(instance->getFrameNeededAction(n, frames), "getFramesNeeded");
    expect(instance->renderAction(n, kOfxImageFieldNone, window, scale, true, false, false),
           "rendering frame " + std::to_string(n));
    if (!output->output) die("the plugin did not fetch its output");
    save(numbered(job.out, n), output->output->raw);
    output->drop();
  }
  expect(instance->endRenderAction(job.first, job.last, 1.0, false, scale, true, false), "endSequenceRender");
  instance.reset();
  OFX::Host::PluginCache::clearPluginCache();
  std::printf("%d frames\n", job.last - job.first + 1);
  return 0;
}
