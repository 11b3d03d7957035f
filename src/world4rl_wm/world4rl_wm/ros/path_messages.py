"""Imagined paths as markers for RViz and Foxglove."""

from __future__ import annotations

from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from world4rl_wm.imagination.imagined_path import ImaginedPaths

NAMESPACE = "imagined_path"
WIDTH_M = 0.003


def path_markers(paths: ImaginedPaths, frame_id: str, lifetime_s: float, stamp: Time) -> MarkerArray:
    """One line strip per sample, after a DELETEALL that takes away what an earlier dream left.

    `lifetime_s`: when a viewer drops the lines by itself; 0 keeps them.
    """
    lifetime = Duration(sec=int(lifetime_s), nanosec=int(lifetime_s % 1 * 1e9))
    clear = Marker(action=Marker.DELETEALL, ns=NAMESPACE)
    clear.header.frame_id, clear.header.stamp = frame_id, stamp
    array = MarkerArray(markers=[clear])
    for number, (points, colours) in enumerate(zip(paths.points, paths.point_colours)):
        if len(points) < 2:
            continue
        line = Marker(ns=NAMESPACE, id=number, type=Marker.LINE_STRIP, action=Marker.ADD, lifetime=lifetime)
        line.header.frame_id, line.header.stamp = frame_id, stamp
        line.pose.orientation.w = 1.0
        line.scale.x = WIDTH_M
        line.points = [Point(x=x, y=y, z=z) for x, y, z in points]
        line.colors = [ColorRGBA(r=red, g=green, b=blue, a=1.0) for red, green, blue in colours]
        array.markers.append(line)
    return array
