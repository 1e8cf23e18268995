import { createElement, forwardRef, type ComponentType, type ForwardRefExoticComponent, type PropsWithoutRef, type RefAttributes } from 'react';
import { usePerformanceTracking, type TrackingOptions } from './usePerformanceTracking';

/**
 * A component that does what the given one does and is counted under the name; a ref goes through to it. It is called
 * `Tracked(name)` itself, so that nobody takes the two for one.
 */
export function withPerformanceTracking<Props extends object, Ref = unknown>(
  Component: ComponentType<Props>,
  name: string = Component.displayName || Component.name || 'anonymous',
  options?: TrackingOptions,
): ForwardRefExoticComponent<PropsWithoutRef<Props> & RefAttributes<Ref>> {
  const Tracked = forwardRef<Ref, Props>((props, ref) => {
    usePerformanceTracking(name, options);
    // A function component of React 18 has no ref, and would warn of one.
    return createElement(Component, (ref ? { ...props, ref } : props) as unknown as Props);
  });
  Tracked.displayName = `Tracked(${name})`;
  return Tracked;
}
