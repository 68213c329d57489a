// fp32 kernels for training the UNet on processors with AVX-512 but without AMX. Activations are channels last,
// [B,H,W,C] in memory with C a multiple of 16; everything runs on the calling thread.
#include <immintrin.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef float vec __attribute__((vector_size(64), aligned(4), may_alias));
typedef long i64;
enum { LANES = 16 };

#define LOAD(p) (*(const vec *)(p))
#define STORE(p, v) (*(vec *)(p) = (v))

// ---- 3x3 convolution with padding 1 as Winograd F(4x4, 3x3); H and W are multiples of 4 ----
// Tiles t = (b, y, x). In the transformed domain a convolution is 36 products of matrices [tiles,in] and [in,out].

static inline void in1(const vec *d, int s, vec *o, int q) { // B^T d
  vec d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s], d4 = d[4 * s], d5 = d[5 * s];
  vec a = d4 - 4 * d2, b = d3 - 4 * d1, c = d4 - d2, e = 2 * (d3 - d1);
  o[0] = 4 * d0 - 5 * d2 + d4;
  o[q] = a + b;
  o[2 * q] = a - b;
  o[3 * q] = c + e;
  o[4 * q] = c - e;
  o[5 * q] = 4 * d1 - 5 * d3 + d5;
}

static inline void in1t(const vec *m, int s, vec *o, int q) { // B m, the transpose of in1
  vec m0 = m[0], m1 = m[s], m2 = m[2 * s], m3 = m[3 * s], m4 = m[4 * s], m5 = m[5 * s];
  vec p = m1 + m2, n = m1 - m2, r = m3 + m4, t = 2 * (m3 - m4);
  o[0] = 4 * m0;
  o[q] = 4 * m5 - 4 * n - t;
  o[2 * q] = -5 * m0 - 4 * p - r;
  o[3 * q] = n + t - 5 * m5;
  o[4 * q] = m0 + p + r;
  o[5 * q] = m5;
}

static inline void out1(const vec *m, int s, vec *o, int q) { // A^T m
  vec m0 = m[0], m5 = m[5 * s];
  vec p = m[s] + m[2 * s], n = m[s] - m[2 * s], r = m[3 * s] + m[4 * s], t = m[3 * s] - m[4 * s];
  o[0] = m0 + p + r;
  o[q] = n + 2 * t;
  o[2 * q] = p + 4 * r;
  o[3 * q] = n + 8 * t + m5;
}

static inline void out1t(const vec *y, int s, vec *o, int q) { // A y, the transpose of out1
  vec y0 = y[0], y1 = y[s], y2 = y[2 * s], y3 = y[3 * s];
  vec e = y0 + y2, f = y1 + y3, g = y0 + 4 * y2, h = 2 * y1 + 8 * y3;
  o[0] = y0;
  o[q] = e + f;
  o[2 * q] = e - f;
  o[3 * q] = g + h;
  o[4 * q] = g - h;
  o[5 * q] = y3;
}

#define FOR_TILES                                                                                                    \
  i64 t = 0;                                                                                                         \
  for (i64 b = 0; b < B; b++)                                                                                        \
    for (i64 y = 0; y < H; y += 4)                                                                                   \
      for (i64 x = 0; x < W; x += 4, t++)                                                                            \
        for (i64 c = 0; c < C; c += LANES)

// x [B,H,W,C] -> v [36,tiles,C], `stride` floats from one of the 36 to the next
void tiles_in(const float *in, float *v, i64 stride, i64 B, i64 H, i64 W, i64 C) {
  FOR_TILES {
    vec d[36], e[36], o[36];
    for (int i = 0; i < 6; i++)
      for (int j = 0; j < 6; j++) {
        i64 r = y + i - 1, s = x + j - 1;
        d[6 * i + j] = r >= 0 && r < H && s >= 0 && s < W ? LOAD(in + ((b * H + r) * W + s) * C + c) : (vec){0};
      }
    for (int j = 0; j < 6; j++) in1(d + j, 6, e + j, 6);
    for (int i = 0; i < 6; i++) in1(e + 6 * i, 1, o + 6 * i, 1);
    for (int k = 0; k < 36; k++) STORE(v + k * stride + t * C + c, o[k]);
  }
}

// its transpose: adds to dx
void tiles_in_grad(const float *dv, float *dx, i64 stride, i64 B, i64 H, i64 W, i64 C) {
  FOR_TILES {
    vec d[36], e[36];
    for (int k = 0; k < 36; k++) d[k] = LOAD(dv + k * stride + t * C + c);
    for (int j = 0; j < 6; j++) in1t(d + j, 6, e + j, 6);
    for (int i = 0; i < 6; i++) in1t(e + 6 * i, 1, d + 6 * i, 1);
    for (int i = 0; i < 6; i++)
      for (int j = 0; j < 6; j++) {
        i64 r = y + i - 1, s = x + j - 1;
        if (r >= 0 && r < H && s >= 0 && s < W) {
          float *p = dx + ((b * H + r) * W + s) * C + c;
          STORE(p, LOAD(p) + d[6 * i + j]);
        }
      }
  }
}

// m [36,tiles,C] and bias [C] -> y [B,H,W,C]
void tiles_out(const float *m, const float *bias, float *out, i64 stride, i64 B, i64 H, i64 W, i64 C) {
  FOR_TILES {
    vec d[36], e[24], o[16], add = LOAD(bias + c);
    for (int k = 0; k < 36; k++) d[k] = LOAD(m + k * stride + t * C + c);
    for (int j = 0; j < 6; j++) out1(d + j, 6, e + j, 6);
    for (int i = 0; i < 4; i++) out1(e + 6 * i, 1, o + 4 * i, 1);
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 4; j++) STORE(out + ((b * H + y + i) * W + x + j) * C + c, o[4 * i + j] + add);
  }
}

// its transpose, and the sum over all pixels, added to dbias
void tiles_out_grad(const float *dy, float *dm, float *dbias, i64 stride, i64 B, i64 H, i64 W, i64 C) {
  FOR_TILES {
    vec d[16], e[24], o[36], sum = LOAD(dbias + c);
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 4; j++) sum += d[4 * i + j] = LOAD(dy + ((b * H + y + i) * W + x + j) * C + c);
    STORE(dbias + c, sum);
    for (int j = 0; j < 4; j++) out1t(d + j, 4, e + j, 4);
    for (int i = 0; i < 6; i++) out1t(e + 4 * i, 1, o + 6 * i, 1);
    for (int k = 0; k < 36; k++) STORE(dm + k * stride + t * C + c, o[k]);
  }
}

static inline void w1(const vec *w, int s, vec *o, int q) { // G w
  vec a = w[0], b = w[s], c = w[2 * s], e = (a + c) * (1 / 6.f), f = b * (1 / 6.f);
  vec g = a * (1 / 24.f) + c * (1 / 6.f), h = b * (1 / 12.f);
  o[0] = a * 0.25f;
  o[q] = -e - f;
  o[2 * q] = f - e;
  o[3 * q] = g + h;
  o[4 * q] = g - h;
  o[5 * q] = c;
}

static inline void w1t(const vec *u, int s, vec *o, int q) { // G^T u
  vec p = (u[s] + u[2 * s]) * (-1 / 6.f), n = (u[2 * s] - u[s]) * (1 / 6.f);
  vec r = u[3 * s] + u[4 * s], t = u[3 * s] - u[4 * s];
  o[0] = u[0] * 0.25f + p + r * (1 / 24.f);
  o[q] = n + t * (1 / 12.f);
  o[2 * q] = p + r * (1 / 6.f) + u[5 * s];
}

// w [out,in,3,3] -> u [36,out,in]
void weight_in(const float *w, float *u, i64 stride, i64 out, i64 in) {
  for (i64 p = 0; p < out * in; p += LANES) {
    vec d[9], e[18], o[36];
    for (int k = 0; k < 9; k++)
      for (int l = 0; l < LANES; l++) d[k][l] = w[(p + l) * 9 + k];
    for (int j = 0; j < 3; j++) w1(d + j, 3, e + j, 3);
    for (int i = 0; i < 6; i++) w1(e + 3 * i, 1, o + 6 * i, 1);
    for (int k = 0; k < 36; k++) STORE(u + k * stride + p, o[k]);
  }
}

// its transpose
void weight_in_grad(const float *du, float *dw, i64 stride, i64 out, i64 in) {
  for (i64 p = 0; p < out * in; p += LANES) {
    vec d[36], e[18], o[9];
    for (int k = 0; k < 36; k++) d[k] = LOAD(du + k * stride + p);
    for (int j = 0; j < 6; j++) w1t(d + j, 6, e + j, 6);
    for (int i = 0; i < 3; i++) w1t(e + 6 * i, 1, o + 3 * i, 1);
    for (int k = 0; k < 9; k++)
      for (int l = 0; l < LANES; l++) dw[(p + l) * 9 + k] = o[k][l];
  }
}

// ---- silu(group_norm(x) * a + b): x, y [B,n,C], a, b [B,C], stats [B,G,2] (mean, 1 / standard deviation) ----

static inline vec sigmoid(vec z) { // 1 / (1 + 2^x), relative error about 1e-6
  __m512 x = _mm512_mul_ps((__m512)z, _mm512_set1_ps(-1.44269504f));
  x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(126)), _mm512_set1_ps(-126));
  __m512 n = _mm512_roundscale_ps(x, 0);
  vec f = (vec)_mm512_sub_ps(x, n);
  vec p = 1 + f * (0.69314718f + f * (0.24022651f + f * (0.05550411f + f * (0.00961813f + f * 0.00133336f))));
  return 1 / (1 + (vec)_mm512_scalef_ps((__m512)p, n));
}

void norm_forward(const float *x, const float *a, const float *b, float *y, float *stats, i64 B, i64 n, i64 C, i64 G,
                  float eps) {
  float sum[C], squares[C], scale[C], shift[C];
  const i64 per = C / G;
  for (i64 k = 0; k < B; k++, x += n * C, y += n * C, a += C, b += C, stats += 2 * G) {
    memset(sum, 0, sizeof sum);
    memset(squares, 0, sizeof squares);
    for (i64 c = 0; c < C; c += LANES) {
      vec s = {0}, q = {0};
      for (i64 i = 0; i < n; i++) {
        vec v = LOAD(x + i * C + c);
        s += v;
        q += v * v;
      }
      STORE(sum + c, s);
      STORE(squares + c, q);
    }
    for (i64 g = 0; g < G; g++) {
      double s = 0, q = 0;
      for (i64 c = g * per; c < (g + 1) * per; c++) s += sum[c], q += squares[c];
      const double mean = s / (per * n), var = q / (per * n) - mean * mean;
      const float rstd = 1 / sqrt((var > 0 ? var : 0) + eps);
      stats[2 * g] = mean;
      stats[2 * g + 1] = rstd;
      for (i64 c = g * per; c < (g + 1) * per; c++) scale[c] = a[c] * rstd, shift[c] = b[c] - mean * scale[c];
    }
    for (i64 i = 0; i < n; i++)
      for (i64 c = 0; c < C; c += LANES) {
        vec z = LOAD(x + i * C + c) * LOAD(scale + c) + LOAD(shift + c);
        STORE(y + i * C + c, z * sigmoid(z));
      }
  }
}

void norm_backward(const float *dy, const float *x, const float *a, const float *b, const float *stats, float *dx,
                   float *da, float *db, i64 B, i64 n, i64 C, i64 G) {
  float mean[C], rstd[C], dmean[C], dproduct[C];
  float *dz = aligned_alloc(64, n * C * sizeof *dz);
  const i64 per = C / G;
  for (i64 k = 0; k < B; k++, x += n * C, dy += n * C, dx += n * C, a += C, b += C, da += C, db += C, stats += 2 * G) {
    for (i64 c = 0; c < C; c++) mean[c] = stats[c / per * 2], rstd[c] = stats[c / per * 2 + 1];
    for (i64 c = 0; c < C; c += LANES) {
      vec ga = {0}, gb = {0}, m = LOAD(mean + c), r = LOAD(rstd + c), scale = LOAD(a + c), shift = LOAD(b + c);
      for (i64 i = 0; i < n; i++) {
        vec h = (LOAD(x + i * C + c) - m) * r, z = h * scale + shift, s = sigmoid(z);
        vec d = LOAD(dy + i * C + c) * s * (1 + z * (1 - s));
        ga += d * h;
        gb += d;
        STORE(dz + i * C + c, d * scale);
      }
      STORE(da + c, ga);
      STORE(db + c, gb);
    }
    for (i64 g = 0; g < G; g++) {
      float s = 0, p = 0;
      for (i64 c = g * per; c < (g + 1) * per; c++) s += db[c] * a[c], p += da[c] * a[c];
      for (i64 c = g * per; c < (g + 1) * per; c++) dmean[c] = s / (per * n), dproduct[c] = p / (per * n);
    }
    for (i64 i = 0; i < n; i++)
      for (i64 c = 0; c < C; c += LANES) {
        vec r = LOAD(rstd + c), h = (LOAD(x + i * C + c) - LOAD(mean + c)) * r;
        STORE(dx + i * C + c, (LOAD(dz + i * C + c) - LOAD(dmean + c) - h * LOAD(dproduct + c)) * r);
      }
  }
  free(dz);
}
