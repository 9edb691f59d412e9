"""Writers of small CAD files: STEP, 3MF, COLLADA."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from mesh_files import FACES, POINTS, Rgb

DAE = """<?xml version="1.0" encoding="utf-8"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset>{unit}<up_axis>Z_UP</up_axis></asset>
<library_images><image id="i"><init_from>{image}</init_from></image></library_images>
<library_effects><effect id="e"><profile_COMMON>
<newparam sid="s"><surface type="2D"><init_from>i</init_from></surface></newparam>
<newparam sid="t"><sampler2D><source>s</source></sampler2D></newparam>
<technique sid="c"><lambert><diffuse>{diffuse}</diffuse></lambert></technique>
</profile_COMMON></effect></library_effects>
<library_materials><material id="m"><instance_effect url="#e"/></material></library_materials>
<library_geometries><geometry id="g"><mesh>
<source id="p"><float_array id="pa" count="9">0 0 0 1 0 0 0 1 0</float_array><technique_common>
<accessor source="#pa" count="3" stride="3"><param name="X" type="float"/>
<param name="Y" type="float"/><param name="Z" type="float"/></accessor></technique_common></source>
<source id="q"><float_array id="qa" count="6">.2 .5 .3 .5 .2 .6</float_array><technique_common>
<accessor source="#qa" count="3" stride="2"><param name="S" type="float"/>
<param name="T" type="float"/></accessor></technique_common></source>
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
<triangles count="1" material="mm"><input semantic="VERTEX" source="#v" offset="0"/>
<input semantic="TEXCOORD" source="#q" offset="1"/><p>0 0 1 1 2 2</p></triangles>
</mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="w"><node><translate>0 0 5</translate>
<instance_geometry url="#g"><bind_material><technique_common>
<instance_material symbol="mm" target="#m"/></technique_common></bind_material>
</instance_geometry></node></visual_scene></library_visual_scenes>
<scene><instance_visual_scene url="#w"/></scene></COLLADA>"""


CENTIMETER = '<unit name="centimeter" meter="0.01"/>'


def write_dae(
    path: Path,
    image: str = "x.png",
    diffuse: str = "<color>1 .5 0 1</color>",
    unit: str = CENTIMETER,
) -> None:
    """A triangle of 1 at a height of 5, with a material."""
    path.write_text(DAE.format(image=image, diffuse=diffuse, unit=unit))


def write_3mf(path: Path, faces: np.ndarray = FACES, unit: str | None = "millimeter") -> None:
    """The pyramid, one face blue, twice as large and 1 to the side."""
    vertices = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in POINTS)
    rows = [f'<triangle v1="{a}" v2="{b}" v3="{c}"' for a, b, c in faces]
    rows[0] += ' pid="7" p1="1"'
    triangles = "".join(row + "/>" for row in rows)
    stated = "" if unit is None else f' unit="{unit}"'
    core = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
    text = (
        f'<?xml version="1.0"?><model{stated} xmlns="{core}"><resources>'
        '<basematerials id="7"><base name="o" displaycolor="#FF8000"/>'
        '<base name="b" displaycolor="#0000FFFF"/></basematerials>'
        f'<object id="1" pid="7" pindex="0"><mesh><vertices>{vertices}</vertices>'
        f"<triangles>{triangles}</triangles></mesh></object>"
        '<object id="2"><components><component objectid="1"/></components></object></resources>'
        '<build><item objectid="2" transform="2 0 0 0 2 0 0 0 2 1 0 0"/></build></model>'
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("3D/3dmodel.model", text)


def step_box(
    size: Rgb = (40.0, 30.0, 20.0), color: Rgb | None = None, unit_name: str = "mm"
) -> str:
    """A box in mm, m or inch as a STEP file with flat faces, of one colour."""
    lines: list[str] = []

    def add(text: str) -> int:
        lines.append(f"#{len(lines) + 1}={text};")
        return len(lines)

    def point(p: Sequence[float]) -> int:
        return add("CARTESIAN_POINT(''," + "(" + ",".join(f"{c:.6f}" for c in p) + "))")

    corners = [(x, y, z) for x in (0, size[0]) for y in (0, size[1]) for z in (0, size[2])]
    number = [point(c) for c in corners]
    rings = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = []
    for ring in rings:
        loop = add("POLY_LOOP('',(" + ",".join(f"#{number[i]}" for i in ring) + "))")
        bound = add(f"FACE_OUTER_BOUND('',#{loop},.T.)")
        p = np.array([corners[i] for i in ring], dtype=float)
        normal = np.cross(p[1] - p[0], p[2] - p[0])
        directions = [normal / np.linalg.norm(normal), (p[1] - p[0]) / np.linalg.norm(p[1] - p[0])]
        ids = [add("DIRECTION('',(" + ",".join(f"{c:.6f}" for c in d) + "))") for d in directions]
        axes = add(f"AXIS2_PLACEMENT_3D('',#{number[ring[0]]},#{ids[0]},#{ids[1]})")
        plane = add(f"PLANE('',#{axes})")
        faces.append(add(f"FACE_SURFACE('',(#{bound}),#{plane},.T.)"))
    shell = add("CLOSED_SHELL('',(" + ",".join(f"#{f}" for f in faces) + "))")
    brep = add(f"FACETED_BREP('box',#{shell})")
    unit = _add_unit(add, unit_name)
    angle = add("(NAMED_UNIT(*)PLANE_ANGLE_UNIT()SI_UNIT($,.RADIAN.))")
    solid = add("(NAMED_UNIT(*)SI_UNIT($,.STERADIAN.)SOLID_ANGLE_UNIT())")
    within = add(f"UNCERTAINTY_MEASURE_WITH_UNIT(LENGTH_MEASURE(1.E-06),#{unit},'d','')")
    context = add(
        "(GEOMETRIC_REPRESENTATION_CONTEXT(3)"
        f"GLOBAL_UNCERTAINTY_ASSIGNED_CONTEXT((#{within}))"
        f"GLOBAL_UNIT_ASSIGNED_CONTEXT((#{unit},#{angle},#{solid}))"
        "REPRESENTATION_CONTEXT('',''))"
    )
    origin = point((0, 0, 0))
    z, x = add("DIRECTION('',(0.,0.,1.))"), add("DIRECTION('',(1.,0.,0.))")
    frame = add(f"AXIS2_PLACEMENT_3D('',#{origin},#{z},#{x})")
    shape = add(f"FACETED_BREP_SHAPE_REPRESENTATION('',(#{frame},#{brep}),#{context})")
    application = add("APPLICATION_CONTEXT('automotive design')")
    add(f"APPLICATION_PROTOCOL_DEFINITION('','automotive_design',2000,#{application})")
    product_context = add(f"PRODUCT_CONTEXT('',#{application},'mechanical')")
    product = add(f"PRODUCT('box','box','',(#{product_context}))")
    formation = add(f"PRODUCT_DEFINITION_FORMATION('','',#{product})")
    design = add(f"PRODUCT_DEFINITION_CONTEXT('part definition',#{application},'design')")
    definition = add(f"PRODUCT_DEFINITION('design','',#{formation},#{design})")
    whole = add(f"PRODUCT_DEFINITION_SHAPE('','',#{definition})")
    add(f"SHAPE_DEFINITION_REPRESENTATION(#{whole},#{shape})")
    if color is not None:
        _add_style(add, color, brep, context)
    head = (
        "ISO-10303-21;\nHEADER;\nFILE_DESCRIPTION((''),'2;1');\n"
        "FILE_NAME('box','',(''),(''),'','','');\n"
        "FILE_SCHEMA(('AUTOMOTIVE_DESIGN { 1 0 10303 214 1 1 1 1 }'));\nENDSEC;\nDATA;\n"
    )
    return head + "\n".join(lines) + "\nENDSEC;\nEND-ISO-10303-21;\n"


def _add_unit(add: Callable[[str], int], name: str) -> int:
    """The unit of lengths: mm, m or inch."""
    prefix = "$" if name == "m" else ".MILLI."
    unit = add(f"(LENGTH_UNIT()NAMED_UNIT(*)SI_UNIT({prefix},.METRE.))")
    if name == "inch":
        measure = add(f"LENGTH_MEASURE_WITH_UNIT(LENGTH_MEASURE(25.4),#{unit})")
        size_of = add("DIMENSIONAL_EXPONENTS(1.,0.,0.,0.,0.,0.,0.)")
        converted = f"CONVERSION_BASED_UNIT('INCH',#{measure})"
        unit = add(f"({converted}LENGTH_UNIT()NAMED_UNIT(#{size_of}))")
    return unit


def _add_style(add: Callable[[str], int], color: Rgb, brep: int, context: int) -> None:
    rgb = add("COLOUR_RGB(''," + ",".join(f"{c:.6f}" for c in color) + ")")
    fill = add(f"FILL_AREA_STYLE_COLOUR('',#{rgb})")
    style = add(f"FILL_AREA_STYLE('',(#{fill}))")
    surface = add(f"SURFACE_STYLE_FILL_AREA(#{style})")
    side = add(f"SURFACE_SIDE_STYLE('',(#{surface}))")
    usage = add(f"SURFACE_STYLE_USAGE(.BOTH.,#{side})")
    assignment = add(f"PRESENTATION_STYLE_ASSIGNMENT((#{usage}))")
    item = add(f"STYLED_ITEM('',(#{assignment}),#{brep})")
    add(f"MECHANICAL_DESIGN_GEOMETRIC_PRESENTATION_REPRESENTATION('',(#{item}),#{context})")
