package org.edgegan.demo;

import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.graphics.Rect;
import android.util.AttributeSet;
import android.view.MotionEvent;
import android.view.View;

/** Two pictures in one place, which both are scaled to: left of the divider the one, right of it the other. */
public final class CompareView extends View {
    private static final float LINE_DP = 2f;
    private static final float TEXT_SP = 13f;

    private final Paint paint = new Paint(Paint.FILTER_BITMAP_FLAG | Paint.ANTI_ALIAS_FLAG);
    private final Rect from = new Rect();
    private final Rect to = new Rect();
    private Bitmap left;
    private Bitmap right;
    private String leftLabel = "";
    private String rightLabel = "";
    private float divider = 0.5f;

    public CompareView(Context context, AttributeSet attributes) {
        super(context, attributes);
    }

    void show(Bitmap before, Bitmap after, String beforeLabel, String afterLabel) {
        left = before;
        right = after;
        leftLabel = beforeLabel;
        rightLabel = afterLabel;
        invalidate();
    }

    @Override
    protected void onDraw(Canvas canvas) {
        super.onDraw(canvas);
        if (left == null || right == null) {
            return;
        }
        float scale = Math.min((float) getWidth() / right.getWidth(), (float) getHeight() / right.getHeight());
        int width = Math.max(1, Math.round(right.getWidth() * scale));
        int height = Math.max(1, Math.round(right.getHeight() * scale));
        to.set((getWidth() - width) / 2, (getHeight() - height) / 2, (getWidth() + width) / 2, (getHeight() + height) / 2);
        draw(canvas, right);
        int edge = to.left + Math.round(to.width() * divider);
        canvas.save();
        canvas.clipRect(to.left, to.top, edge, to.bottom);
        draw(canvas, left);
        canvas.restore();
        float density = getResources().getDisplayMetrics().density;
        paint.setColor(0xFFFFFFFF);
        canvas.drawRect(edge - LINE_DP * density / 2, to.top, edge + LINE_DP * density / 2, to.bottom, paint);
        paint.setTextSize(TEXT_SP * getResources().getDisplayMetrics().scaledDensity);
        paint.setShadowLayer(3 * density, 0, 0, 0xFF000000);
        float baseline = to.bottom - 8 * density;
        canvas.drawText(leftLabel, to.left + 8 * density, baseline, paint);
        canvas.drawText(rightLabel, to.right - 8 * density - paint.measureText(rightLabel), baseline, paint);
        paint.clearShadowLayer();
    }

    private void draw(Canvas canvas, Bitmap bitmap) {
        from.set(0, 0, bitmap.getWidth(), bitmap.getHeight());
        canvas.drawBitmap(bitmap, from, to, paint);
    }

    @Override
    public boolean onTouchEvent(MotionEvent event) {
        int action = event.getActionMasked();
        if (action == MotionEvent.ACTION_DOWN || action == MotionEvent.ACTION_MOVE) {
            divider = Math.max(0f, Math.min(1f, (event.getX() - to.left) / Math.max(1, to.width())));
            invalidate();
        } else if (action == MotionEvent.ACTION_UP) {
            performClick();
        }
        return true;
    }

    @Override
    public boolean performClick() {
        return super.performClick();
    }
}
