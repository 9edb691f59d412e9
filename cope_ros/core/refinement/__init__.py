"""Better poses of single instances: crops, point rendering, flow and contours."""
