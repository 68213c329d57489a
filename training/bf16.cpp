// silu(group_norm(x) * a + b) for bf16 tensors [B,C,...] on AVX-512 processors, forward and backward in one pass each.
// x and y are contiguous; a and b are fp32 [B,C]: the affine part of the norm and a scale and shift together.
#include <ATen/cpu/vec/functional.h>
#include <ATen/cpu/vec/vec.h>
#include <torch/extension.h>

using Half = at::BFloat16;
using HalfVec = at::vec::Vectorized<Half>;
using Vec = at::vec::Vectorized<float>;
constexpr int64_t STEP = HalfVec::size();

static float total(Vec v) {
  return at::vec::vec_reduce_all<float>([](Vec x, Vec y) { return x + y; }, v);
}

// What one group needs: `rows` channels of `n` values each.
struct Shape {
  int64_t batch, channels, groups, rows, n;
  Shape(const at::Tensor& x, int64_t groups)
      : batch(x.size(0)), channels(x.size(1)), groups(groups), rows(channels / groups), n(x.numel() / (batch * channels)) {
    TORCH_CHECK(x.is_contiguous() && x.scalar_type() == at::kBFloat16 && n % STEP == 0);
  }
};

std::vector<at::Tensor> forward(const at::Tensor& x, const at::Tensor& a, const at::Tensor& b, int64_t groups, double eps) {
  Shape s(x, groups);
  auto y = at::empty_like(x), stats = at::empty({s.batch * s.groups, 2}, a.options());
  const int64_t count = s.rows * s.n;
  std::vector<float> buffer(count);
  for (int64_t g = 0; g < s.batch * s.groups; g++) {
    const Half* in = x.const_data_ptr<Half>() + g * count;
    Half* out = y.data_ptr<Half>() + g * count;
    Vec sum(0.f), squares(0.f);
    for (int64_t i = 0; i < count; i += STEP) {
      auto [u, v] = at::vec::convert_to_float<Half>(HalfVec::loadu(in + i));
      u.store(&buffer[i]);
      v.store(&buffer[i + Vec::size()]);
      sum = sum + u + v;
    }
    const float mean = total(sum) / count;
    for (int64_t i = 0; i < count; i += Vec::size()) {
      Vec d = Vec::loadu(&buffer[i]) - Vec(mean);
      squares = at::vec::fmadd(d, d, squares);
    }
    const float rstd = 1 / std::sqrt(total(squares) / count + float(eps));
    stats.data_ptr<float>()[2 * g] = mean;
    stats.data_ptr<float>()[2 * g + 1] = rstd;
    for (int64_t c = 0; c < s.rows; c++) {
      const float scale = a.const_data_ptr<float>()[g * s.rows + c] * rstd;
      const float shift = b.const_data_ptr<float>()[g * s.rows + c] - mean * scale;
      for (int64_t i = c * s.n; i < (c + 1) * s.n; i += STEP) {
        Vec z[2];
        for (int k = 0; k < 2; k++) {
          z[k] = at::vec::fmadd(Vec::loadu(&buffer[i + k * Vec::size()]), Vec(scale), Vec(shift));
          z[k] = z[k] / (Vec(1.f) + z[k].neg().exp_u20());
        }
        at::vec::convert_from_float<Half>(z[0], z[1]).store(out + i);
      }
    }
  }
  return {y, stats};
}

// -> gradients of x, a and b
std::vector<at::Tensor> backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& a, const at::Tensor& b,
                                 const at::Tensor& stats, int64_t groups) {
  Shape s(x, groups);
  TORCH_CHECK(grad.is_contiguous() && grad.scalar_type() == at::kBFloat16);
  auto dx = at::empty_like(x), da = at::empty_like(a), db = at::empty_like(b);
  const int64_t count = s.rows * s.n;
  std::vector<float> normed(count), dnormed(count);
  for (int64_t g = 0; g < s.batch * s.groups; g++) {
    const Half *in = x.const_data_ptr<Half>() + g * count, *dy = grad.const_data_ptr<Half>() + g * count;
    const float mean = stats.const_data_ptr<float>()[2 * g], rstd = stats.const_data_ptr<float>()[2 * g + 1];
    float sum = 0, product = 0;
    for (int64_t c = 0; c < s.rows; c++) {
      const int64_t channel = g * s.rows + c;
      const float scale = a.const_data_ptr<float>()[channel], shift = b.const_data_ptr<float>()[channel];
      Vec ga(0.f), gb(0.f);
      for (int64_t i = c * s.n; i < (c + 1) * s.n; i += STEP) {
        auto [x0, x1] = at::vec::convert_to_float<Half>(HalfVec::loadu(in + i));
        auto [d0, d1] = at::vec::convert_to_float<Half>(HalfVec::loadu(dy + i));
        Vec u[2] = {x0, x1}, d[2] = {d0, d1};
        for (int k = 0; k < 2; k++) {
          Vec h = (u[k] - Vec(mean)) * Vec(rstd);
          Vec z = at::vec::fmadd(h, Vec(scale), Vec(shift));
          Vec sigmoid = Vec(1.f) / (Vec(1.f) + z.neg().exp_u20());
          Vec dz = d[k] * sigmoid * at::vec::fmadd(z, Vec(1.f) - sigmoid, Vec(1.f));
          ga = at::vec::fmadd(dz, h, ga);
          gb = gb + dz;
          h.store(&normed[i + k * Vec::size()]);
          (dz * Vec(scale)).store(&dnormed[i + k * Vec::size()]);
        }
      }
      const float ta = total(ga), tb = total(gb);
      da.data_ptr<float>()[channel] = ta;
      db.data_ptr<float>()[channel] = tb;
      product += ta * scale;
      sum += tb * scale;
    }
    const Vec mean_d(sum / count), mean_p(product / count), r(rstd);
    Half* out = dx.data_ptr<Half>() + g * count;
    for (int64_t i = 0; i < count; i += STEP) {
      Vec d[2];
      for (int k = 0; k < 2; k++) {
        const int64_t j = i + k * Vec::size();
        d[k] = (Vec::loadu(&dnormed[j]) - mean_d - Vec::loadu(&normed[j]) * mean_p) * r;
      }
      at::vec::convert_from_float<Half>(d[0], d[1]).store(out + i);
    }
  }
  return {dx, da, db};
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("forward", &forward);
  m.def("backward", &backward);
}
