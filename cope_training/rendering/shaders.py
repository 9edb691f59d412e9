"""The GLSL programs. All positions and directions are in the camera's optical frame, metres."""

MAX_LIGHTS = 3

# Colours are lit as linear light; vertex colours and textures are sRGB (gamma 2.2 suffices).
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
void main() {
    vec4 p = cam_from_obj * vec4(position, 1.0);
    p_cam = p.xyz;
    n_cam = mat3(cam_from_obj) * normal;
    albedo = pow(color.rgb, vec3(2.2));
    st = uv;
    gl_Position = clip_from_cam * p;
}
"""

SHADE_FRAGMENT = f"""
#version 330
const int MAX_LIGHTS = {MAX_LIGHTS};
uniform sampler2D image;
uniform float textured;  // 0: vertex colours alone, 1: times the texture
uniform vec3 tint;
uniform vec2 gloss;  // specular strength, exponent
uniform vec4 light_position[MAX_LIGHTS];  // w = 0: direction towards the light
uniform vec3 light_color[MAX_LIGHTS];
uniform vec3 up;
uniform vec3 sky;
uniform vec3 ground;
in vec3 p_cam;
in vec3 n_cam;
in vec3 albedo;
in vec2 st;
out vec4 rgba;
void main() {{
    vec3 view = -normalize(p_cam);
    vec3 n = normalize(n_cam);
    n = dot(n, view) < 0.0 ? -n : n;
    vec3 base = albedo * tint;
    if (textured > 0.0) base *= pow(texture(image, st).rgb, vec3(2.2));
    vec3 diffuse = mix(ground, sky, 0.5 + 0.5 * dot(n, up));
    vec3 shine = vec3(0.0);
    for (int i = 0; i < MAX_LIGHTS; ++i) {{
        vec3 l = normalize(light_position[i].xyz - light_position[i].w * p_cam);
        float facing = dot(n, l);
        if (facing <= 0.0) continue;
        diffuse += facing * light_color[i];
        shine += pow(max(dot(n, normalize(l + view)), 0.0), gloss.y) * light_color[i];
    }}
    vec3 linear = base * diffuse + gloss.x * shine;
    rgba = vec4(pow(clamp(linear, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
}}
"""

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
