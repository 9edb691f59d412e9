"""The GLSL programs. All positions and directions are in the camera's optical frame, metres."""

MAX_LIGHTS = 3

# Colours are lit as linear light. sRGB is taken as gamma 2: a square and a root are exact
# inverses and cheap, and unlit colours come out as they went in.
SHADE_VERTEX = """
#version 330
uniform mat4 clip_from_cam;
uniform mat4 cam_from_obj;
in vec3 position;
in vec3 normal;
in vec4 color;
in vec2 uv;
out vec3 p_cam;
out vec3 n_cam;
out vec3 albedo;
out vec2 st;
out vec3 p_obj;
void main() {
    p_obj = position;
    vec4 p = cam_from_obj * vec4(position, 1.0);
    p_cam = p.xyz;
    n_cam = mat3(cam_from_obj) * normal;
    albedo = color.rgb * color.rgb;
    st = uv;
    gl_Position = clip_from_cam * p;
}
"""

# No branch depends on a pixel: a software renderer would walk both ways and mask.
_SHADE_FRAGMENT = """
#version 330
const int MAX_LIGHTS = %(lights)d;
const int TAPS = %(taps)d;
uniform sampler2D image;
uniform float textured;  // 0: vertex colours alone, 1: times the texture
uniform vec3 tint;
uniform vec4 fade;  // linear mean colour, share of it
uniform float vivid;  // factor on what makes a colour differ from grey
uniform float hardness;  // of the pattern's edges, 0: no pattern
uniform vec4 waves[3];  // rad/m, phase
uniform vec3 wave_colors[3];  // logarithms of factors
uniform vec2 gloss;  // specular strength, exponent
uniform vec4 light_position[MAX_LIGHTS];  // w = 0: direction towards the light
uniform vec3 light_color[MAX_LIGHTS];
uniform vec3 up;
uniform vec3 sky;
uniform vec3 ground;
uniform sampler2DShadow shadow_map;
uniform mat4 shadow_from_cam;
uniform vec3 shadow;  // share of the first light taken away, softness, normal offset in m
in vec3 p_cam;
in vec3 n_cam;
in vec3 albedo;
in vec2 st;
in vec3 p_obj;
out vec4 rgba;
vec3 pattern() {
    vec3 total = vec3(0.0);
    for (int i = 0; i < 3; ++i) {
        float s = sin(dot(waves[i].xyz, p_obj) + waves[i].w);
        total += clamp(hardness * s, -1.0, 1.0) * wave_colors[i];
    }
    return exp(total);
}
float lit(vec3 n) {
    vec3 s = (shadow_from_cam * vec4(p_cam + n * shadow.z, 1.0)).xyz;
    s.z = min(s.z - 0.002, 1.0);
    float open = 0.0;
    for (int i = 0; i < TAPS; ++i) {  // a spiral of taps softens the edge
        float a = 2.4 * float(i);
        float r = TAPS > 1 ? shadow.y * sqrt((float(i) + 0.5) / float(TAPS)) : 0.0;
        open += texture(shadow_map, s + vec3(r * cos(a), r * sin(a), 0.0));
    }
    return 1.0 - shadow.x * (1.0 - open / float(TAPS));
}
void main() {
    vec3 view = -normalize(p_cam);
    vec3 n = normalize(n_cam);
    n = dot(n, view) < 0.0 ? -n : n;
    vec3 texel = textured > 0.0 ? texture(image, st).rgb : vec3(1.0);
    vec3 own = mix(albedo * texel * texel, fade.rgb, fade.a);
    vec3 base = max(mix(vec3(dot(own, vec3(1.0 / 3.0))), own, vivid), 0.0) * tint;
    if (hardness > 0.0) base *= pattern();
    vec3 diffuse = mix(ground, sky, 0.5 + 0.5 * dot(n, up));
    vec3 shine = vec3(0.0);
    for (int i = 0; i < MAX_LIGHTS; ++i) {
        vec3 l = normalize(light_position[i].xyz - light_position[i].w * p_cam);
        vec3 light = light_color[i];
        if (i == 0 && shadow.x > 0.0) light *= lit(n);
        float facing = max(dot(n, l), 0.0);
        diffuse += facing * light;
        // cos^g as exp: the same highlight, cheaper than pow of a clamped value
        float off = 1.0 - dot(n, normalize(l + view));
        shine += exp(-gloss.y * off) * min(8.0 * facing, 1.0) * light;
    }
    rgba = vec4(sqrt(clamp(base * diffuse + gloss.x * shine, 0.0, 1.0)), 1.0);
}
"""


def shade_fragment(taps: int) -> str:
    """The shading program; ``taps`` looks at the shadow map per pixel soften its edge."""
    return _SHADE_FRAGMENT % {"lights": MAX_LIGHTS, "taps": taps}


# Distance along the optical axis and a number per placement, at pixel centres.
LABEL_VERTEX = """
#version 330
uniform mat4 clip_from_cam;
uniform mat4 cam_from_obj;
in vec3 position;
out float z;
void main() {
    vec4 p = cam_from_obj * vec4(position, 1.0);
    z = p.z;
    gl_Position = clip_from_cam * p;
}
"""

LABEL_FRAGMENT = """
#version 330
uniform float number;
in float z;
out vec2 depth_and_number;
void main() { depth_and_number = vec2(z, number); }
"""

# Which pixels an object would cover if nothing hid it.
COVER_FRAGMENT = """
#version 330
in float z;
out float covered;
void main() { covered = z > 0.0 ? 1.0 : 0.0; }
"""

# Depth alone, for the shadow map.
NOTHING_FRAGMENT = """
#version 330
void main() {}
"""
